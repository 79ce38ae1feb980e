"""Fine-tuning at a service, against a stand-in on a real socket: no network, no real key."""

import json
import logging
import pickle
import socket
import sys
import threading
import time
import traceback
from dataclasses import replace

import pytest
from hosted_stand_in import KEY, stand_in
from openai.types.fine_tuning.job_create_params import Method
from pydantic import TypeAdapter
from situations import random_situations
from typer import Typer
from typer.testing import CliRunner

from course_lib import Plan, recommend
from course_lib.errors import CourseError
from course_lib.run import hosted, hosted_files
from course_lib.run.hosted import Hosted
from course_lib.run.hosted_files import KEPT, HostedFiles, check_file, read_files, write_files
from course_lib.run.hosted_plan import parts_in, prepare, submit_next
from course_lib.run.hosted_price import price
from course_lib.run.hosted_record import RECORD
from course_lib.run.hosted_rows import to_line
from course_lib.run_hosted_cli import add_to

app = Typer()
add_to(app)


class Words:
    """A tokenizer whose tokens are words."""

    chat_template = name_or_path = "words"

    def apply_chat_template(self, messages, return_dict):
        return {"input_ids": [word for message in messages for word in message["content"].split()]}


def chat(i: int, more: str = "") -> dict:
    return {
        "messages": [
            {"role": "user", "content": f"alpha{i} beta{i} gamma{i} delta{i}{more}"},
            {"role": "assistant", "content": f"answer {i}"},
        ]
    }


def written(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def service(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path_factory.getbasetemp()))  # to load no certificates takes no time
    with stand_in() as (address, state):
        yield address, state


@pytest.fixture
def files(tmp_path) -> HostedFiles:
    own = written(tmp_path / "own.jsonl", [chat(i) for i in range(20)])
    return write_files(own, tmp_path / "hosted", tokenizer=Words())


def at(address, **more) -> Hosted:
    return Hosted(address, **{"tries": 3, "timeout_s": 5, "longest_wait_s": 0.02, **more})


# Files


def test_files_are_chats_apart_from_the_test_rows_and_counted(files):
    train = [json.loads(line) for line in files.train.read_text(encoding="utf-8").splitlines()]
    held = [json.loads(line) for line in files.validation.read_text(encoding="utf-8").splitlines()]
    assert (files.rows, files.validation_rows) == (len(train), len(held)) == (16, 2)
    assert not [row for row in held if row in train]
    assert all(list(row) == ["messages"] for row in train + held)
    assert files.tokens == 16 * 6
    assert "service counts with its own" in str(files)
    assert check_file(files.train) == check_file(files.train, "together") == []
    assert check_file(files.validation, training=False) == []


def test_rows_that_cannot_be_used_are_named_by_line_and_reason(tmp_path):
    rows = [chat(i, "<script>alert(1)</script>") for i in range(12)]
    rows[3] = {"messages": [{"role": "robot", "content": "x"}]}
    rows[5] = chat(5, "x" * 10_000_000)
    own = tmp_path / "own.jsonl"
    written(own, rows)
    with own.open("ab") as file:
        file.write(b'{"messages": [{"role": "user", "content": "\\ud800"}, {"role": "assistant", "content": "b"}]}\n\n')
    with pytest.raises(CourseError, match=r"own.jsonl:4 messages.0.role: is 'robot'"):
        write_files(own, tmp_path / "out", tokenizer=Words())
    assert not (tmp_path / "out").exists()
    faults = check_file(own)
    assert [fault.split(":")[1].split()[0] for fault in faults] == ["4", "6", "13", "14"]
    assert "10.0 MB" in faults[1]
    assert all(len(fault) < 300 for fault in faults)


def test_too_few_rows_other_suffixes_and_extra_keys_are_faults(tmp_path):
    few = tmp_path / "few.jsonl"
    written(few, [chat(i) | {"split": "a"} for i in range(9)])
    assert check_file(few) == ["few.jsonl has 9 good rows; openai takes no fewer than 10."]
    assert "has the key 'split', which together refuses" in check_file(few, "together")[0]
    assert "must end in .jsonl" in check_file(tmp_path / "few.csv")[0]
    pair = tmp_path / "pair.jsonl"
    written(pair, [{"prompt": "a", "completion": "b"}] * 200)
    assert "messages: is missing" in check_file(pair)[0]
    assert len(check_file(pair)) == 102
    with pytest.raises(CourseError, match="could not be read"):
        check_file(tmp_path / "none.jsonl")
    with pytest.raises(CourseError, match="choose one of openai, together"):
        check_file(few, "<b>")


def test_fewer_training_rows_than_the_service_takes_are_refused(tmp_path):
    own = written(tmp_path / "own.jsonl", [chat(i) for i in range(11)])
    with pytest.raises(CourseError, match="takes no fewer than 10"):
        write_files(own, tmp_path / "out", tokenizer=Words())
    assert (
        write_files(own, tmp_path / "out", provider="together", validation=False, tokenizer=Words()).validation is None
    )


def test_a_price_is_worked_out_looked_up_or_said_to_be_unknown(files):
    given = price(files, 3, 2.0)
    assert given.dollars == pytest.approx(16 * 6 * 3 * 2 / 1e6)
    assert "$2 per million" in str(given)
    looked_up = price(files, 1, model="gpt-4o-mini-2024-07-18")
    assert looked_up.dollars == pytest.approx(16 * 6 * 3 / 1e6)
    assert "from memory" in str(looked_up)
    unknown = price(files, 1, model="gpt-9")
    assert unknown.dollars is None
    assert "No price is known for fine-tuning of gpt-9" in str(unknown)
    for epochs, dollars in ((0, 1.0), (True, 1.0), (1, -1.0), (1, float("nan"))):
        with pytest.raises(CourseError):
            price(files, epochs, dollars)


# Preference pairs


def pair(i: int, **other) -> dict:
    return {
        "prompt": [{"role": "user", "content": f"alpha{i} beta{i} gamma{i} delta{i}"}],
        "chosen": [{"role": "assistant", "content": f"good {i}"}],
        "rejected": [{"role": "assistant", "content": f"bad answer {i}"}],
    } | other


@pytest.fixture
def pairs(tmp_path) -> HostedFiles:
    own = written(tmp_path / "pairs.jsonl", [pair(i) for i in range(20)])
    return write_files(own, tmp_path / "preferences", tokenizer=Words())


def test_pairs_are_written_as_both_services_read_them_and_counted(pairs):
    rows = [json.loads(line) for line in pairs.train.read_text(encoding="utf-8").splitlines()]
    assert all(set(row) == {"input", "preferred_output", "non_preferred_output"} for row in rows)
    assert rows[0]["preferred_output"][0]["content"].startswith("good")
    assert (pairs.form, pairs.rows) == ("pair", 16)
    assert pairs.tokens == 16 * (4 + 2 + 4 + 3)
    assert "16 rows of preference pairs" in str(pairs)
    for provider in ("openai", "together"):
        assert check_file(pairs.train, provider, form="pair") == []
    assert "messages: is missing" in check_file(pairs.train)[0]


def test_what_was_written_is_found_again_and_damage_is_said(files, pairs):
    assert read_files(files.folder) == files
    assert read_files(pairs.folder) == pairs
    whole = json.loads((pairs.folder / KEPT).read_text())
    damages = [
        whole | {"form": "text"},
        whole | {"provider": "<b>"},
        whole | {"rows": "9"},
        whole | {"train": "/key"},
        [],
    ]
    for damage in ("{", "[" * 100_000, *map(json.dumps, damages)):
        (pairs.folder / KEPT).write_text(damage)
        with pytest.raises(CourseError, match="is damaged: write the files anew"):
            read_files(pairs.folder)
    with pytest.raises(CourseError, match="There are no files for a service"):
        read_files(pairs.folder / "none")


def test_pairs_that_a_service_would_refuse_are_named_by_line_and_place(tmp_path):
    good = json.loads(to_line(pair(0), "pair"))
    answer = good["preferred_output"]
    rows = {
        "preferred_output: is missing": {"input": good["input"], "non_preferred_output": answer},
        "input: must be an object with messages": good | {"input": good["input"]["messages"]},
        "input.messages.0.role: is 'robot'": good | {"input": {"messages": [{"role": "robot", "content": "x"}]}},
        "input.messages.0.role: is assistant": good | {"input": {"messages": answer}},
        "preferred_output: has 2 messages": good | {"preferred_output": answer * 2},
        "preferred_output: must be a list of messages": good | {"preferred_output": "yes"},
        "non_preferred_output: is the same answer as preferred_output": good | {"non_preferred_output": answer},
        "non_preferred_output.0.content: is empty": good
        | {"non_preferred_output": [{"role": "assistant", "content": ""}]},
    }
    file = written(tmp_path / "own.jsonl", [*rows.values(), good | {"id": 7}, good])
    faults = check_file(file, "together", form="pair", training=False)
    for number, (words, fault) in enumerate(zip(rows, faults, strict=False), 1):
        assert fault.startswith(f"own.jsonl:{number} {words}"), fault
    assert faults[8:] == ["own.jsonl:9: has the key 'id', which together refuses; remove it"]


def test_plain_texts_are_not_for_services(tmp_path):
    own = written(tmp_path / "own.jsonl", [{"text": f"word{i} " * 40} for i in range(20)])
    with pytest.raises(CourseError, match="holds plain texts, and services fine-tune on chats or preference pairs"):
        write_files(own, tmp_path / "out", tokenizer=Words())


def test_dpo_is_asked_for_in_the_words_of_each_service(service, pairs):
    address, state = service
    at(address).submit(pairs, "small-model", 2, beta=0.2)
    asked = state.jobs[0]["_asked"]
    assert asked["method"] == {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "beta": 0.2}}}
    assert (
        TypeAdapter(Method).validate_python(asked["method"]) == asked["method"]
    )  # drops keys that OpenAI does not know
    at(address, provider="together").submit(pairs, "small-model", 2, beta=0.2, again=True)
    assert state.jobs[0]["_asked"] | {"training_file": "", "validation_file": ""} == {
        **{"model": "small-model", "training_file": "", "validation_file": "", "n_epochs": 2, "n_evals": 2},
        "training_method": {"method": "dpo", "dpo_beta": 0.2},
    }
    at(address).submit(pairs, "small-model", 1, again=True)
    assert "beta" not in json.dumps(state.jobs[0]["_asked"])


def test_beta_and_the_form_of_files_are_checked_before_anything_is_sent(service, files, pairs):
    address, state = service
    for them, beta in ((files, 0.1), (pairs, 0), (pairs, "0.1"), (pairs, float("inf"))):
        with pytest.raises(CourseError, match="beta is a number above 0, and goes with preference pairs"):
            at(address).submit(them, "small-model", 1, beta=beta)
    with pytest.raises(CourseError, match=r"Nothing was uploaded.*input: is missing"):
        at(address).submit(replace(files, form="pair"), "small-model", 1)
    assert state.requests == []


def test_without_the_check_the_service_would_refuse_files_of_the_wrong_form(service, files, monkeypatch):
    address, state = service
    monkeypatch.setattr(hosted, "check_file", lambda *_, **__: [])
    with pytest.raises(CourseError, match="Line 1 has other keys"):
        at(address).submit(replace(files, form="pair"), "small-model", 1)
    assert state.made() == 0


def test_the_price_of_dpo_is_looked_up_apart(files, pairs, tmp_path, monkeypatch):
    own = tmp_path / "prices.toml"
    monkeypatch.setenv("COURSE_PRICES", str(own))
    own.write_text(
        'as_of = "2026"\nchecked = false\nnote = "made up"\nrental = []\nhosted = [\n'
        '{ model = "m", provider = "OpenAI", method = "sft", per_million_tokens = 1 },\n'
        '{ model = "m", provider = "OpenAI", method = "dpo", per_million_tokens = 2 },\n'
        '{ model = "open, 70B to 100B", provider = "Together", method = "lora", per_million_tokens = 3 },\n'
        '{ model = "open, 70B to 100B", provider = "Together", method = "lora-dpo", per_million_tokens = 4 },\n'
        "]\n[electricity]\nlow = 0.1\nhigh = 0.2\n"
    )
    for them, model, provider, dollars in (
        (files, "m-2025-01-01", "openai", 1),
        (pairs, "m", "openai", 2),
        (files, "Qwen/Qwen2.5-72B-Instruct", "together", 3),
        (pairs, "Qwen/Qwen2.5-72B-Instruct", "together", 4),
    ):
        found = price(replace(them, provider=provider), 1, model=model)
        assert found.dollars == pytest.approx(them.tokens * dollars / 1e6)
    assert price(replace(pairs, provider="together"), 1, model="gpt-9").dollars is None
    assert "for DPO of gpt-9" in str(price(pairs, 1, model="gpt-9"))


# A plan in parts

PLAN = Plan(objective="sft+dpo", beta=0.2, epochs=2)


@pytest.fixture
def plan(tmp_path) -> Plan:
    data = written(tmp_path / "chats.jsonl", [chat(i) for i in range(20)])
    return PLAN.but(data=data, pairs=written(tmp_path / "pairs.jsonl", [pair(i) for i in range(20)]))


@pytest.mark.parametrize("provider", ["openai", "together"])
def test_sft_then_dpo_goes_on_from_the_model_of_the_first_job(service, plan, tmp_path, provider):
    address, state = service
    folder, here = tmp_path / "hosted", at(address, provider=provider)
    first, second = prepare(plan, folder, provider=provider, tokenizer=Words())
    assert (first.form, second.form) == ("chat", "pair")
    assert [part.folder for part in parts_in(folder)] == [first.folder, second.folder]
    job = submit_next(here, folder, "small-model")
    with pytest.raises(CourseError, match="next part starts from its model: submit again when it is done"):
        submit_next(here, folder, "small-model")
    tuned = job.wait(5, 0.01)
    submit_next(here, folder, "small-model").wait(5, 0.01)
    asked = state.jobs[0]["_asked"]
    assert asked["model" if provider == "openai" else "from_checkpoint"] == tuned
    assert ("model" in asked) == (provider == "openai")
    assert "0.2" in json.dumps(asked)
    assert "beta" not in json.dumps(state.jobs[1]["_asked"])
    with pytest.raises(CourseError, match="submitted before, as job ft-2"):
        submit_next(here, folder, "small-model")
    assert state.made() == 2


def test_a_first_part_that_failed_is_submitted_anew_only_when_asked(service, plan, tmp_path):
    address, state = service
    prepare(plan, tmp_path / "hosted", tokenizer=Words())
    job = submit_next(at(address), tmp_path / "hosted", "small-model")
    job.cancel()
    with pytest.raises(CourseError, match=r"is cancelled.*submit again when its cause is mended, with again"):
        submit_next(at(address), tmp_path / "hosted", "small-model")
    assert submit_next(at(address), tmp_path / "hosted", "small-model", again=True).id == "ft-2"
    assert state.jobs[0]["_asked"]["method"]["type"] == "supervised"


def test_a_plan_that_no_service_runs_and_data_of_the_wrong_form_are_refused(plan, tmp_path):
    for objective in ("cpt", "cpt+sft", "classification"):
        with pytest.raises(CourseError, match="set objective to sft, dpo or sft"):
            prepare(plan.but(objective=objective), tmp_path / "hosted")
    with pytest.raises(CourseError, match="does not hold preference pairs, which dpo needs: set pairs"):
        prepare(plan.but(objective="dpo", pairs=plan.data), tmp_path / "hosted", tokenizer=Words())
    with pytest.raises(CourseError, match="No plan was prepared in"):
        submit_next(at("https://service.example/v1"), tmp_path, "small-model")


@pytest.mark.slow
def test_whatever_is_recommended_as_hosted_can_be_prepared_checked_and_priced(tmp_path):
    seen = {}
    for situation in random_situations(600, seed=3):
        found = recommend(situation)
        if found.method == "hosted":
            seen.setdefault((found.objective, found.model, found.plan.epochs), found.plan)
    assert {objective for objective, *_ in seen} == {"sft", "dpo", "sft+dpo"}
    for number, plan in enumerate(seen.values()):
        for provider in ("openai", "together"):
            files = prepare(plan, tmp_path / f"{number}-{provider}", provider=provider, tokenizer=Words())
            assert [them.form for them in files] == [
                {"sft": "chat", "dpo": "pair"}[part] for part in plan.objective.split("+")
            ]
            for them in files:
                assert price(them, plan.epochs, 1.0).dollars > 0
                if them.form == "chat" and provider == "together":
                    assert price(them, plan.epochs, model=plan.model).dollars > 0


# From a terminal


def course(*words) -> str:
    done = CliRunner().invoke(app, ["hosted", *map(str, words)])
    if isinstance(done.exception, CourseError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_a_plan_is_prepared_submitted_watched_stopped_and_tried_from_a_terminal(service, plan, tmp_path, monkeypatch):
    address, state = service
    monkeypatch.setattr(hosted_files, "_own_tokenizer", Words)
    monkeypatch.setenv("OWN_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_KEY")
    folder, there = tmp_path / "hosted", ("--base-url", address, "--key-env", "OWN_KEY")
    said = course("prepare", plan.to_yaml(tmp_path / "my_plan.yaml"), folder, "--model", "Qwen/Qwen2.5-72B-Instruct")
    assert "rows of preference pairs" in said
    assert said.count("at the price of") >= 1
    assert f"course hosted submit {folder} MODEL" in said
    assert state.requests == []
    assert "was not submitted yet" in course("status", folder, *there)
    with pytest.raises(CourseError, match="there is nothing to stop"):
        course("cancel", folder, *there)
    course("submit", folder, "small-model", *there)
    monkeypatch.setattr(hosted.Job.wait, "__defaults__", (5, 0.01))
    assert "is done: the model is ft:small-model:ft-1" in course("status", folder, "--wait", *there)
    course("submit", folder, "small-model", *there)
    assert state.jobs[0]["_asked"]["from_checkpoint"] == "ft:small-model:ft-1"
    assert "cancelled" in course("cancel", folder, *there)
    assert "heard: hello" in course("ask", "ft:small-model:ft-1", "hello", *there)


def test_a_folder_of_a_stranger_does_not_decide_where_the_key_goes(service, plan, tmp_path, monkeypatch):
    """What is noted in a folder may be anybody's: its address is compared with the reader's own, and never called."""
    address, state = service
    prepare(plan.but(objective="sft"), tmp_path / "hosted", tokenizer=Words())
    submit_next(at(address), tmp_path / "hosted", "small-model")
    state.requests.clear()
    with pytest.raises(CourseError, match=r"were sent to http://127\.0\.0\.1"):
        course("status", tmp_path / "hosted")
    assert state.requests == []
    course("status", tmp_path / "hosted", "--base-url", address)
    assert state.requests != []


# The way from rows to an answer


@pytest.mark.parametrize("provider", ["openai", "together"])
def test_from_rows_to_an_answer(service, files, capsys, provider):
    address, state = service
    here = at(address, provider=provider)
    seed = 7 if provider == "openai" else None
    job = here.submit(files, "small-model", 2, suffix="mails", seed=seed)
    assert json.loads((files.folder / RECORD).read_text())["job"] == job.id == "ft-1"
    assert state.files["file-1"] == files.train.read_bytes()
    asked = state.jobs[0]["_asked"]
    epochs = asked["method"]["supervised"]["hyperparameters"]["n_epochs"] if provider == "openai" else asked["n_epochs"]
    assert (epochs, asked["suffix"], asked["validation_file"], asked.get("seed")) == (2, "mails", "file-2", seed)
    model = here.job(files.folder).wait(5, 0.01)
    assert model == "ft:small-model:ft-1"
    said = capsys.readouterr().out
    assert "ft-1 is waiting (queued)." in said
    assert "trained on 1,234 tokens" in said
    assert job.poll().status == "done"
    assert job.events()[0].endswith("Created <b>job</b>")
    assert here.answer(model, "hello") == "ft:small-model:ft-1 heard: hello"
    with pytest.raises(CourseError, match="refuses the end of job ft-1"):
        job.cancel()


def test_cancelled_and_failed_jobs_say_so(service, files):
    address, state = service
    job = at(address).submit(files, "small-model", 1)
    assert job.cancel().status == "cancelled"
    with pytest.raises(CourseError, match="is cancelled"):
        job.wait(1, 0.01)
    state.job_error = "The job failed due to an invalid training file. <script>x</script>\nLine 3" + "x" * 10_000
    for provider in ("openai", "together"):
        with pytest.raises(CourseError, match=r"invalid training file. <script>x</script> Line 3") as failed:
            at(address, provider=provider).submit(files, "small-model", 1, again=True).wait(5, 0.01)
        assert len(str(failed.value)) < 600


def test_the_job_goes_on_when_the_time_is_over_and_trouble_in_between_is_waited_out(service, files, capsys):
    address, state = service
    state.stage_by_poll = False
    job = at(address, tries=1).submit(files, "small-model", 1)
    with pytest.raises(CourseError, match=r"it goes on at the service, .* look again with Hosted\(...\).job\("):
        job.wait(0.05, 0.01)
    state.stage_by_poll = True
    state.troubles += [("GET", "ft-1", 500), ("GET", "ft-1", "drop"), ("GET", "ft-1", 429)]
    assert job.wait(5, 0.01).startswith("ft:")
    assert "could not be reached" in capsys.readouterr().out
    with pytest.raises(CourseError, match=r"does not know the job"):
        hosted.Job(job.wire, files.folder, "ft-9").wait(1, 0.01)


# Failures


def test_a_wrong_key_and_no_key(service, files, monkeypatch):
    address, _ = service
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-secret")
    with pytest.raises(CourseError, match=r"does not accept the key in OPENAI_API_KEY \(401\)") as wrong:
        at(address).submit(files, "small-model", 1)
    assert "secret" not in str(wrong.value)
    for none in ("", "  ", "sk-ключ", "sk a\nb"):
        monkeypatch.setenv("OPENAI_API_KEY", none)
        with pytest.raises(CourseError, match="OPENAI_API_KEY"):
            at(address).answer("small-model", "x")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(CourseError, match="There is no key in the environment variable OPENAI_API_KEY"):
        at(address).answer("small-model", "x")


def test_unknown_models(service, files):
    address, state = service
    with pytest.raises(CourseError, match=r"or the model no-model \(404\).*`no-model` does not exist"):
        at(address).submit(files, "no-model", 1)
    with pytest.raises(CourseError, match="404"):
        at(address).answer("no-model", "x")
    assert state.made() == 0


@pytest.mark.parametrize("trouble", [429, 500, 503])
def test_busy_and_in_trouble_is_tried_again_a_bounded_number_of_times(service, files, trouble):
    address, state = service
    for how, part in (("POST", "files"), ("POST", "jobs")):
        state.troubles += [(how, part, trouble)] * 2
    job = at(address).submit(files, "small-model", 1)
    assert (job.id, state.made(), state.asked("POST", "jobs")) == ("ft-1", 1, 3)
    state.troubles += [("GET", "ft-1", trouble)] * 3
    with pytest.raises(CourseError, match=rf"\({trouble}, asked up to 3 times\)"):
        job.poll()
    state.requests.clear()
    state.troubles += [("POST", "jobs", trouble)] * 3
    with pytest.raises(CourseError, match=str(trouble)):
        at(address).submit(files, "small-model", 1, again=True)
    assert (state.asked("POST", "jobs"), state.made()) == (3, 1)


def test_retry_after_is_obeyed_and_bounded(service, files):
    address, state = service
    state.troubles.append(("POST", "chat", {"status": 429, "headers": {"retry-after": "9999"}}))
    with pytest.raises(CourseError, match="try again in 9999 s"):
        at(address).answer("small-model", "x")
    state.troubles.append(("POST", "jobs", {"status": 429, "headers": {"retry-after": "9999"}}))
    assert at(address).submit(files, "small-model", 1).id == "ft-1"


def test_no_network_slow_services_and_pages_that_are_no_api(service, files, monkeypatch):
    address, state = service
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with pytest.raises(CourseError, match="could not be reached"):
        at(nobody, tries=1).submit(files, "small-model", 1)
    state.troubles.append(("POST", "chat", "slow"))
    with pytest.raises(CourseError, match=r"did not answer .* within 0.2 s"):
        at(address, tries=1, timeout_s=0.2).answer("small-model", "x")
    state.troubles.append(("POST", "chat", "html"))
    with pytest.raises(CourseError, match="did not answer in JSON"):
        at(address).answer("small-model", "x")
    with pytest.raises(CourseError, match="messages cannot be sent"):
        at(address).answer("small-model", "\ud800")


def test_an_invalid_file_is_found_before_the_upload_and_the_services_own_message_is_repeated(service, files):
    address, state = service
    state.troubles.append(
        ("POST", "files", {"status": 400, "body": {"error": {"message": "Bad <b>line</b> 7\x1b[2J" * 99}}})
    )
    with pytest.raises(CourseError, match=r"refuses the file train.jsonl \(400\).*Bad <b>line</b> 7 \[2J") as refused:
        at(address).submit(files, "small-model", 1)
    assert len(str(refused.value)) < 600
    state.requests.clear()
    files.train.write_text(files.train.read_text() + "{\n")
    with pytest.raises(CourseError, match=r"Nothing was uploaded, .* train.jsonl:17: is not JSON"):
        at(address).submit(files, "small-model", 1)
    assert state.requests == []


@pytest.mark.parametrize(
    "address", ["api.openai.com", "http://example.com/v1", "https://me:secret@example.com/v1", "https://[", "ftp://x"]
)
def test_addresses_that_are_none_or_would_send_the_key_in_the_clear(address):
    with pytest.raises(CourseError) as refused:
        Hosted(address)
    assert "secret" not in str(refused.value)


def test_arguments_that_are_none_are_refused_before_anything_is_sent(service, files):
    address, state = service
    for model, epochs, more in (
        ("", 1, {}),
        ("\ud800", 1, {}),
        (None, 1, {}),
        ("m", 0, {}),
        ("m", 1.5, {}),
        ("m", 1, {"suffix": "a\nb"}),
        ("m", 1, {"seed": "x"}),
    ):
        with pytest.raises(CourseError):
            at(address).submit(files, model, epochs, **more)
    with pytest.raises(CourseError):
        at(address).answer("\ud800", "x")
    assert state.requests == []


def test_without_the_package_it_says_how_to_install_it(service, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(CourseError, match=r'pip install "course-lib\[hosted\]"'):
        at(service[0]).answer("small-model", "x")


# Never paid twice


def test_the_same_files_are_not_paid_for_twice_unless_asked(service, files):
    address, state = service
    at(address).submit(files, "small-model", 1)
    with pytest.raises(CourseError, match="submitted before, as job ft-1"):
        at(address).submit(files, "small-model", 1)
    assert state.made() == 1
    assert at(address).submit(files, "small-model", 1, again=True).id == "ft-2"
    assert json.loads((files.folder / RECORD).read_text())["earlier"] == ["ft-1"]


def killed_before_the_id_is_kept(monkeypatch, address, files):
    """A submit that dies after the service has made the job and before its id is on disk."""
    keep = hosted.keep

    def killed(folder, record):
        if record["job"]:
            raise SystemExit
        keep(folder, record)

    with monkeypatch.context() as patch:
        patch.setattr(hosted, "keep", killed)
        with pytest.raises(SystemExit):
            at(address).submit(files, "small-model", 1)


@pytest.mark.parametrize("how", ["submit", "job"])
def test_a_kill_between_the_making_and_the_writing_does_not_pay_twice(service, files, monkeypatch, how):
    address, state = service
    killed_before_the_id_is_kept(monkeypatch, address, files)
    assert state.made() == 1
    here = at(address)
    found = here.submit(files, "small-model", 1) if how == "submit" else here.job(files.folder)
    assert (found.id, state.made()) == ("ft-1", 1)
    assert json.loads((files.folder / RECORD).read_text())["job"] == "ft-1"


def test_without_the_look_up_it_would_pay_twice(service, files, monkeypatch):
    address, state = service
    killed_before_the_id_is_kept(monkeypatch, address, files)
    monkeypatch.setattr(Hosted, "_find", lambda self, file: None)
    at(address).submit(files, "small-model", 1)
    assert state.made() == 2


def test_an_answer_that_is_lost_is_looked_for_also_on_later_pages(service, files):
    address, state = service
    state.page = 1
    state.troubles.append(("POST", "jobs", "done, then drop"))
    assert at(address).submit(files, "small-model", 1).id == "ft-1"
    assert state.made() == 1
    state.jobs.insert(0, {"id": "ft-other", "training_file": "file-other", "status": "queued"})
    assert at(address)._find("file-1") == "ft-1"
    assert at(address)._find("file-7") is None


def test_after_an_unclear_failure_no_second_job_is_tried_until_the_list_was_seen(service, files):
    address, state = service
    state.troubles += [
        ("POST", "jobs", "done, then drop"),
        ("GET", "jobs", 500),
        ("GET", "jobs", 500),
        ("GET", "jobs", 500),
    ]
    with pytest.raises(CourseError, match="500"):
        at(address).submit(files, "small-model", 1)
    for no_list, words in (
        ("html", "JSON"),
        ({"status": 200, "body": {"object": "list"}}, "did not answer with the list"),
    ):
        state.troubles.append(("GET", "jobs", no_list))
        with pytest.raises(CourseError, match=words):
            at(address).submit(files, "small-model", 1)
    assert at(address).submit(files, "small-model", 1).id == "ft-1"
    state.troubles.append(("POST", "jobs", "drop"))
    with pytest.raises(CourseError, match="lists no job with these files yet: submit again"):
        at(address).submit(files, "small-model", 1, again=True)
    assert state.made() == 1


def test_two_submits_at_once_make_one_job(service, files):
    address, state = service
    state.troubles.append(("POST", "files", "slow"))
    first = threading.Thread(target=lambda: at(address).submit(files, "small-model", 1))
    first.start()
    while not state.requests:
        time.sleep(0.01)
    with pytest.raises(CourseError, match="Another submit is under way"):
        at(address).submit(files, "small-model", 1)
    first.join()
    assert state.made() == 1


def test_a_damaged_record_another_service_and_no_record(service, files, tmp_path, monkeypatch):
    address, state = service
    with pytest.raises(CourseError, match="No job was submitted from"):
        at(address).job(tmp_path)
    killed_before_the_id_is_kept(monkeypatch, address, files)
    with pytest.raises(CourseError, match=r"were sent to http://127\.0\.0\.1"):
        at("https://other.example/v1").submit(files, "small-model", 1)
    whole = (files.folder / RECORD).read_text()
    for damage in ("", "{", "[]", '{"job": 3}', "[" * 100_000, whole.replace("null", '"../files"')):
        (files.folder / RECORD).write_text(damage)
        with pytest.raises(CourseError, match="is damaged"):
            at(address).submit(files, "small-model", 1)
    assert state.made() == 1


def test_when_the_id_cannot_be_written_it_is_said(service, files, monkeypatch):
    from course_lib.run import hosted_record

    whole = hosted_record.write_whole

    def full(path, text):
        if '"job": "ft-1"' in text:
            raise OSError(28, "No space left on device")
        whole(path, text)

    monkeypatch.setattr(hosted_record, "write_whole", full)
    with pytest.raises(CourseError, match="note the id of the job that was made, ft-1"):
        at(service[0]).submit(files, "small-model", 1)


# The key


def test_the_key_does_not_follow_to_another_address(service):
    address, state = service
    with stand_in() as (elsewhere, other):
        to = {"status": 307, "headers": {"location": f"{elsewhere}/chat/completions"}}
        state.troubles.append(("POST", "chat", to))
        with pytest.raises(CourseError):
            at(address).answer("small-model", "x")
    assert state.keys == {KEY}
    assert other.keys == {""}


def test_the_key_is_nowhere(service, files, capfd, caplog):
    address, state = service
    caplog.set_level(logging.DEBUG)
    here, own = at(address), sys._getframe().f_code
    job = here.submit(files, "small-model", 1)
    shown = [repr(here), repr(job), str(job.poll()), repr(vars(here)), repr(vars(job)), repr(pickle.dumps(here))]
    echo = {"error": {"message": f"your key {KEY} is odd", "code": None}}
    for status in (400, 401, 403, 404, 429, 500):
        state.troubles += [("POST", "chat", {"status": status, "body": echo})] * 3
        with pytest.raises(CourseError) as failed:
            here.answer("small-model", "x")
        state.troubles.clear()
        assert failed.value.__cause__ is None
        assert failed.value.__context__ is None
        frames = traceback.walk_tb(failed.value.__traceback__)
        shown += [
            repr(frame.f_locals)
            for frame, _ in frames
            if "hosted" in frame.f_code.co_filename and frame.f_code is not own
        ]
        shown += [str(failed.value), repr(failed.value)]
    assert "your key [key] is odd" in shown[-2]
    shown += [file.read_text(encoding="utf-8") for file in files.folder.iterdir()]
    shown += [*capfd.readouterr(), caplog.text]
    assert not [text for text in shown if KEY in text]
