"""What is wrong with a page for people who cannot see it, or have no mouse: four checks of what our cells show."""

from axe_playwright_python.sync_playwright import Axe

STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
OUTPUT = ".jp-OutputArea-output"

NAMELESS = """selector => [...document.querySelectorAll(`${selector} :is(button, input, select, textarea)`)]
  .filter(e => e.offsetParent && !(e.labels?.length && e.labels[0].innerText.trim()) && !e.innerText?.trim())
  .map(e => e.outerHTML)"""
# Contrast of each text with what is behind it, by the formula of WCAG 2: the texts below 4.5 : 1.
FAINT = """selector => { const luminance = c => { const v = c.map(x => { x /= 255; return x <= .03928 ? x / 12.92
    : ((x + .055) / 1.055) ** 2.4; }); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > .5) return c.slice(0, 3); } return [255, 255, 255]; };
  return [...document.querySelectorAll(`${selector} *`)].filter(e => e.offsetParent && !e.disabled &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
      const a = luminance(parse(getComputedStyle(e).color).slice(0, 3)), b = luminance(behind(e));
      return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.innerText.slice(0, 40)]; }).filter(x => x[0] < 4.5)
    .map(x => x[1]); }"""
# Before a page loads: mark every element that listens to the mouse.
MARK_LISTENERS = """(() => { const add = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (type, ...rest) {
    if (this.dataset && /^(click|mousedown|pointerdown)$/.test(type)) this.dataset.mouse = type;
    return add.call(this, type, ...rest); }; })()"""
# What listens to the mouse, or has the role of a control, where the Tab key finds nothing to stop at.
MOUSE_ONLY = """selector => { const stop = "button, input, select, textarea, summary, a[href], [tabindex='0']";
  const mouse = "[data-mouse], [onclick], [role=button], [role=tab], [role=slider], [role=checkbox], [role=link]";
  return [...document.querySelectorAll(selector)].flatMap(output => [...output.querySelectorAll(mouse)].filter(e =>
    e.offsetParent && !e.querySelector(stop) && !(e.closest(`${stop}, label`) && output.contains(e.closest(`${stop}, label`)))))
  .map(e => e.outerHTML.slice(0, 200)); }"""


def axe_faults(page, selector: str = OUTPUT) -> list[str]:
    """The critical and serious findings of axe-core within `selector`: its rule and the HTML that breaks it."""
    options = {"runOnly": STANDARD, "resultTypes": ["violations"]}
    said = Axe().run(page, context={"include": [selector]}, options=options).response
    assert said["passes"], f"nothing to check in {selector}"
    return [
        f"{rule['impact']} {rule['id']}: {node['html'][:300]}"
        for rule in said["violations"] if rule["impact"] in ("critical", "serious")
        for node in rule["nodes"]
    ]  # fmt: skip


def faults(page, selector: str = OUTPUT) -> list[str]:
    """Everything that the four checks find; a page that is right for everyone has none."""
    page.wait_for_timeout(300)  # colours fade in
    ours = {"no name": NAMELESS, "faint": FAINT, "only for a mouse": MOUSE_ONLY}
    found = [f"{what}: {html}" for what, script in ours.items() for html in page.evaluate(script, selector)]
    return found + axe_faults(page, selector)
