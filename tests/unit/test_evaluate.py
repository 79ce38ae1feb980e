import json
from types import SimpleNamespace

import pytest
import torch

from course_lib import CourseError, Plan, Report, evaluate
from course_lib.prove.evaluate import Score, Scores, few_shot
from course_lib.prove.metrics import exact_match, field_accuracy, rouge_l, valid_json
from course_lib.prove.report import plot_loss
from course_lib.run.data import DataSet
from course_lib.run.generate import answers
from course_lib.run.mails import mails
from course_lib.run.methods import load_base, load_tokenizer, prepare

WANTED = '{"name":"Ann","issue":"late"}'


@pytest.mark.parametrize(
    ("said", "valid", "fields", "exact"),
    [
        ('{"issue": "late", "name": "Ann"}', 1, 1, 1),
        ('{"name":"Ann","issue":"damaged"}', 1, 0.5, 0),
        ('{"name":"Ann","issue":"late","extra":1}', 1, 1, 0),
        ('{"name":"Ann","issue":"late"} Thanks!', 0, 0, 0),
        ('["late"]', 0, 0, 0),
        ("", 0, 0, 0),
    ],
)
def test_json_metrics(said, valid, fields, exact):
    assert (valid_json(said, WANTED), field_accuracy(said, WANTED), exact_match(said, WANTED)) == (valid, fields, exact)


@pytest.mark.slow
def test_rouge_is_googles():
    assert rouge_l("the cat sat", "the cat ran") == pytest.approx(2 / 3)


def test_few_shot_puts_solved_examples_between_instruction_and_question():
    rows, examples = mails(1, "test"), mails(2, "train")
    messages = few_shot(rows, examples)[0]["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant", "user", "assistant"]
    assert messages[1:5] == [*examples[0]["messages"][1:], *examples[1]["messages"][1:]]
    assert messages[5:] == rows[0]["messages"][1:]


@pytest.fixture
def model(tiny):
    return load_base(tiny, Plan(model=str(tiny), precision="fp32")).eval(), load_tokenizer(tiny)


@torch.inference_mode()
def one_by_one(model, tokenizer, row, n):
    """Greedy decoding with no cache, no batch, no padding."""
    ids = tokenizer.apply_chat_template(row["messages"][:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
    new = []
    while len(new) < n:
        token = int(model(input_ids=torch.tensor([ids + new])).logits[0, -1].argmax())
        if token == tokenizer.eos_token_id:
            break
        new.append(token)
    return tokenizer.decode(new).strip()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora", "prompt_tuning"])
def test_batched_answers_equal_answers_one_by_one(tiny, method):
    model = prepare(tiny, Plan(model=str(tiny), method=method, precision="fp32")).eval()
    for name, parameter in model.named_parameters():
        if "proj" in name:
            torch.nn.init.normal_(parameter, std=0.3)  # else it only repeats the prompt's last token, a line break
    tokenizer, rows = load_tokenizer(tiny), mails(5, "test")
    expected = [one_by_one(model, tokenizer, row, 12) for row in rows]
    assert answers(model, tokenizer, rows, 12, batch=3) == expected
    assert len(set(expected)) > 1


def test_evaluate_keeps_answers_and_restores_the_mode(model):
    network, _ = model
    network.train()
    rows = mails(4, "test")
    scores = evaluate(
        network, DataSet("mails", mails(3, "train"), [], rows, "", "json"), n=3, shots=2, max_new_tokens=4
    )
    assert network.training
    assert scores["field_accuracy"].n == 3
    assert [answer.asked for answer in scores.answers] == [row["messages"][1]["content"] for row in rows[:3]]
    assert [json.loads(answer.wanted)["name"] for answer in scores.failures()] == [
        json.loads(row["messages"][2]["content"])["name"] for row in rows[:3]
    ]


def test_perplexity_of_a_random_model_is_near_the_size_of_its_vocabulary(model):
    score = evaluate(model[0], mails(4, "test"), ("perplexity",))["perplexity"]
    assert 150 < score.value < 400  # 259 tokens
    assert score.low < score.value < score.high


PAIR = {
    "prompt": [{"role": "user", "content": "Hello?"}],
    "chosen": [{"role": "assistant", "content": "Hello."}],
    "rejected": [{"role": "assistant", "content": "No."}],
}
TEXT = {"text": "The sea is wide."}
WORDS = {"messages": [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"data": []}, "no rows"),
        ({"data": mails(2, "test"), "n": 0}, "leaves no rows"),
        ({"data": mails(1, "test"), "metrics": ("bleurt",)}, "no metric bleurt"),
        ({"data": mails(1, "test"), "metrics": "bleurt"}, "no metric bleurt"),
        ({"data": mails(1, "test"), "shots": 4}, "4 solved examples"),
        ({"data": [PAIR], "shots": 1}, "1 solved examples"),
        ({"data": mails(1, "test"), "metrics": ("preference_accuracy",)}, "metric of preference pairs, and these are chats"),
        ({"data": [PAIR], "metrics": ("exact_match",)}, "metric of chats, and these are preference pairs"),
        ({"data": [PAIR], "metrics": ("reward_margin",)}, "pass a Run of objective dpo"),
        ({"data": [TEXT], "metrics": ("accuracy",)}, "choose from perplexity, bits_per_byte"),
        ({"data": mails(1, "test"), "metrics": ("bits_per_byte",)}, "metric of plain texts, and these are chats"),
        ({"data": [TEXT, PAIR]}, "Row 2 is one of preference pairs, row 1 one of plain texts"),
        ({"data": [{"question": "?"}]}, "Row 1 is no chat"),
        ({"data": ["Hello"]}, "Row 1 is no chat"),
        ({"data": [{"text": " "}]}, "text is only white space"),
        ({"data": [{"messages": WORDS["messages"][:1]}]}, "the last message must be the assistant's"),
        ({"data": [PAIR | {"chosen": 1}]}, "Row 1 cannot be evaluated: chosen is a number"),
        ({"data": [{"messages": "Hello"}]}, "messages is text; must be a list of messages"),
        ({"data": [WORDS], "metrics": ("field_accuracy",)}, "row 1 has none"),
    ],
)  # fmt: skip
def test_bad_calls_get_one_sentence_before_a_model_is_loaded(arguments, says):
    with pytest.raises(CourseError, match=says) as told:
        evaluate("no-such-model", **arguments)
    assert str(told.value).endswith(".")
    assert ". " not in str(told.value)


def test_a_report_is_one_table_and_one_picture_with_words(capsys):
    report = Report(
        {
            "base <b>": Scores({"exact_match": Score(0, 0, 0.14, 24)}),
            "tuned": Scores({"exact_match": Score(0.5, 0.3, 0.7, 24)}),
        }
    )
    assert str(report).splitlines()[2].split() == ["tuned", "0.50", "[0.30,", "0.70]"]
    assert "base &lt;b&gt;" in report._repr_html_()
    assert "24 held-out rows" in report._repr_html_()
    report.plot("exact_match")
    assert capsys.readouterr().out == "Figure: base <b> 0.00 [0.00, 0.14]; tuned 0.50 [0.30, 0.70].\n"


@pytest.mark.parametrize(("losses", "says"), [([2.0, 1.0], "loss falls from"), ([1.0, 2.0], "loss does not fall")])
def test_the_words_of_a_loss_plot_say_which_way_it_went(losses, says, capsys):
    history = [{"step": 1, "loss": loss} for loss in losses]
    plot_loss(SimpleNamespace(history=history, plan=Plan(objective="dpo")))
    assert says in capsys.readouterr().out
