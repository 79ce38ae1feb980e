"""The checks themselves: each finds what is wrong, and is silent about what is right."""

from faults import FAINT, MOUSE_ONLY, NAMELESS, OUTPUT, axe_faults, faults

WIDGETS = """from IPython.display import display
from ipywidgets import HTML, Accordion, Button, Checkbox, IntSlider, Text, VBox

display(Accordion([HTML("a hint")], titles=["Hint"]))
display(IntSlider())
display(VBox([Button(description="Check"), Text(description="Answer"), Checkbox(description="Done", indent=False)]))"""


def test_names_and_contrast(browser):
    page = browser.new_page()
    page.set_content("""<div class="jp-OutputArea-output" style="background: white; color: black">
      <button></button><input><label for=a>named</label><input id=a><button>named</button><p style="color: #888">faint</p></div>""")
    assert len(page.evaluate(NAMELESS, OUTPUT)) == 2
    assert page.evaluate(FAINT, OUTPUT) == ["faint"]
    page.close()


def test_an_accordion_and_a_slider_without_a_name_are_flagged_and_plain_controls_are_not(reader):
    reader.write(WIDGETS)
    reader.open()
    reader.run()
    reader.sees("Hint")
    accordion, slider, plain = (
        f"{OUTPUT}:has({kind})" for kind in (".widget-accordion", ".widget-slider", ".widget-text")
    )
    assert "Collapse-header" in reader.page.evaluate(MOUSE_ONLY, accordion)[0]
    assert "aria-input-field-name" in axe_faults(reader.page, slider)[0]
    assert faults(reader.page, plain) == []
