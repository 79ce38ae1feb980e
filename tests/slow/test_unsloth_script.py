"""The script for Unsloth, call by call against Unsloth's source: signatures only, since nothing here can run it."""

import itertools

import pytest
from unsloth_calls import faults
from wheels import wheel

from course_lib.exports import to_unsloth
from course_lib.plan import Plan

PLANS = [
    Plan(method=method, objective=objective)
    for method, objective in itertools.product(("full", "lora", "qlora"), ("sft", "dpo", "cpt", "sft+dpo", "cpt+sft"))
]
PLANS += [
    Plan(variant="dora", first_layer=3, n_train=40, revision="abc"),
    Plan(variant="rslora", targets=("q_proj", "v_proj"), alpha=2.5, dropout=0.1, precision="fp16"),
    Plan(targets="q_proj", first_layer=2, gradient_checkpointing=True, n_gpus=2, sharding="ddp"),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.method}-{plan.objective}-{plan.id}")
def test_every_call_is_one_that_its_function_takes(plan):
    assert faults(to_unsloth(plan), wheel("unsloth")) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("max_seq_length=", "max_sequence_length=", "no argument max_sequence_length"),
        (
            "    random_state=0,\n)\n\ntraining",
            "    random_state=0,\n    use_vera=True,\n)\n\ntraining",
            "no argument use_vera",
        ),
        ("    model,\n    r=16", "    r=16", "lacks model"),
        ("    model,\n    r=16", "    model,\n    4,\n    r=16", "r is given twice"),
        ("is_bfloat16_supported()", "is_bfloat16_supported(0)", "takes 0 arguments"),
        ("weight_decay=0.0", "weight_decays=0.0", "unexpected keyword argument 'weight_decays'"),
        ("processing_class=tokenizer", "tokenizer=tokenizer", "unexpected keyword argument 'tokenizer'"),
        ("return_dict=True", "as_dict=True", "no argument as_dict"),
        ("remove_columns=", "remove_column=", "unexpected keyword argument 'remove_column'"),
        ("trainer.train()", "trainer.fit()", "there is no such method"),
        ("import FastLanguageModel,", "import FastestLanguageModel,", "unsloth offers no FastestLanguageModel"),
        ("trainer.train()", "trainer.train()\nprint_all(rows)", "nobody knows what it calls"),
    ],
)
def test_a_wrong_call_is_found(right, wrong, said):
    script = to_unsloth(Plan())
    assert right in script
    assert said in " ".join(faults(script.replace(right, wrong), wheel("unsloth")))
