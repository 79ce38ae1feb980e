"""The doctor on machines of every kind: their programs, files and variables are planted."""

import os
import random
import socket
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_lib import cli
from course_lib.learn import doctor, examining, front_end, gpu, machine, packages
from course_lib.learn.doctor import Line, examine
from course_lib.learn.progress import Progress
from course_lib.learn.progress import line as sealed

ROOT = Path(__file__).resolve().parents[2]
CUDA, CPU = "2.13.0+cu130", "2.13.0+cpu"
T4 = "Tesla T4, 15360, 15095, 580.82.07\n"


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch):
    """No network is tried, and this test run's own settings do not matter."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("OMP_NUM_THREADS", "COLAB_RELEASE_TAG", "COURSE_WORK", *doctor.TOKENS):
        monkeypatch.delenv(name, raising=False)


def part(lines: list[Line], name: str) -> Line:
    (line,) = [line for line in lines if line.part == name]
    return line


def run_doctor(capsys) -> str:
    words = cli.doctor()
    assert words + "\n" == capsys.readouterr().out
    return words


# --- the whole ---


def test_it_says_every_part_in_a_second_and_loads_no_torch():
    code = """if True:
        import sys, time, course_lib
        start = time.process_time()
        words = course_lib.doctor()
        print("seconds", time.process_time() - start)
        assert "torch" not in sys.modules and type(words).__name__ == "Said"
    """
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    parts = {line[5:20].strip() for line in said.splitlines() if line[:3] in ("ok ", "fix")}
    assert parts >= {"Python", "packages", "GPU", "processor", "memory", "disk", "work folder", "progress", "notebook"}
    assert parts >= {"network", "tokens", "cache", "smollm2-135m"}
    assert float(said.split()[-1]) < 1, "seconds of the processor; others may use it as well"


def test_each_line_that_is_not_fine_has_a_remedy_and_a_fine_one_has_none():
    assert str(Line("disk", True, "9 GiB", "free some")) == "ok   disk            9 GiB"
    assert str(Line("disk", False, "1 GiB", "free some")) == "fix  disk            1 GiB  -> free some"


def test_a_part_that_fails_or_hangs_is_one_line_and_the_others_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "SECONDS", 0.5)
    monkeypatch.setattr(doctor, "python", lambda: 1 / 0)
    start = time.monotonic()
    lines = examine(tmp_path, tmp_path / "none", slow=lambda: time.sleep(3))
    assert time.monotonic() - start < 2
    assert "our fault" in part(lines, "Python").seen
    assert "ZeroDivisionError" in part(lines, "Python").seen
    assert "no answer" in part(lines, "slow").seen
    assert part(lines, "tokens").fine


def test_it_never_raises(monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(cli, "examine", broken)
    assert "could not finish: RuntimeError" in run_doctor(capsys)


def test_without_a_folder_to_stand_in_it_says_so(tmp_path):
    code = "import os, course_lib; os.rmdir(os.getcwd()); course_lib.doctor()"
    gone = tmp_path / "gone"
    gone.mkdir()
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=gone).stdout
    assert "is gone: start it again in the course's folder" in said


HOSTILE = ("<script>alert(1)</script>\n\x1b[2J", "x" * 10_000_000, "\udc80\u202e", "a/" * 5000, "-1", "0", "nan")


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_values_are_short_and_on_one_line(value, monkeypatch, capsys):
    names = ("OMP_NUM_THREADS", "COURSE_WORK", "COURSE_HOME", "COURSE_PROGRESS", "COLAB_RELEASE_TAG", "HF_ENDPOINT")
    monkeypatch.setattr(os, "environ", {**os.environ, **dict.fromkeys((*names, *doctor.TOKENS), value)})
    words = run_doctor(capsys)
    assert max(map(len, words.splitlines())) < 1000
    assert not any(sign in words for sign in ("\x1b", "\u202e", "\udc80"))
    assert sum(line.startswith("fix") for line in words.splitlines()) >= 2


def test_secrets_are_present_or_not_and_nothing_of_them_is_said(monkeypatch, capsys):
    letters = random.Random(7)
    names = (*doctor.TOKENS, "HTTPS_PROXY", "PIP_INDEX_URL", "AWS_SECRET_ACCESS_KEY", "JPY_SESSION_NAME")
    secrets = {name: "".join(letters.choices("qzjxQZJX", k=40)) for name in names}
    for name, secret in secrets.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("HF_ENDPOINT", f"https://user:{secrets['HTTPS_PROXY']}@{secrets['PIP_INDEX_URL']}:1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: 1 / 0)

    def leaks(words: str) -> bool:
        return any(secret[i : i + 4] in words for secret in secrets.values() for i in range(37))

    words = run_doctor(capsys)
    assert "HF_TOKEN, WANDB_API_KEY, OPENAI_API_KEY, TOGETHER_API_KEY are set" in words
    assert not leaks(words)
    leaky = Line("tokens", True, os.environ["HF_TOKEN"][:4])
    monkeypatch.setattr(doctor, "tokens", lambda: leaky)
    assert leaks(run_doctor(capsys)), "the check does not see a leak"


# --- packages ---


def test_packages_are_compared_with_the_lock(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("torch==0.0.1\npeft==0.0.2 ; python_version > '3'\n")
    assert packages.locked_versions(lock) == {"torch": "0.0.1", "peft": "0.0.2"}
    lines = examine(tmp_path, lock)
    assert "tested with 0.0.1: run `make learn` again" in str(part(lines, "torch"))
    every = len(packages._needs("lab"))
    assert f"{every - 2} of {every} are as tested" in part(lines, "packages").seen


def test_without_a_lock_packages_are_compared_with_the_ranges_of_the_course(monkeypatch):
    versions = {"transformers": "4.57.1", "trl": "odd", "torch": "2.10.0+cu128", "ipywidgets": "7.7.1"}
    real = packages.version

    def version(name):
        if name == "peft":
            raise PackageNotFoundError(name)
        return versions.get(name) or real(name)

    monkeypatch.setattr(packages, "version", version)
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # an earlier test may have loaded the real one
    lines = packages.packages({})
    every = len(packages._needs(""))
    assert {line.part for line in lines if not line.fine} == {"transformers", "trl", "peft", "ipywidgets"}
    assert str(part(lines, "transformers")).endswith(
        '-> run `%pip install "transformers<6,>=5.20"` in a cell, then restart the kernel'
    )
    assert part(lines, "packages").seen.startswith(f"{every - 4} of {every} are as the course needs them: torch 2.10.0")


def test_a_package_that_was_replaced_under_a_running_kernel_asks_for_a_restart(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", SimpleNamespace(__version__="7.7.1"))
    line = part(packages.packages({}), "ipywidgets")
    assert (line.fine, line.remedy) == (False, "restart the kernel")


def test_a_course_that_is_a_folder_only_is_said(monkeypatch):
    def none(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packages, "requires", none)
    (line,) = packages.packages({})
    assert "pip install ." in line.remedy


# --- GPU ---


@pytest.fixture
def computer(monkeypatch, tmp_path):
    """A computer with some torch, some nvidia-smi and some PCI bus; gives its GPU line."""

    def make(torch: str, smi="", vendors=("0x8086",), status=0) -> Line:
        def call(command, **_):
            assert command[0] == "nvidia-smi"
            if not smi:
                raise FileNotFoundError(2, "No such file or directory", "nvidia-smi")
            return subprocess.CompletedProcess(command, status, smi.encode(), b"")

        for number, vendor in enumerate(vendors):
            device = tmp_path / f"{number}"
            device.mkdir(exist_ok=True)
            (device / "vendor").write_text(f"{vendor}\n")
            (device / "class").write_text("0x030200\n")
        monkeypatch.setattr(gpu, "PCI", tmp_path if vendors else tmp_path / "none")
        monkeypatch.setattr(gpu, "version", lambda name: torch)
        monkeypatch.setattr(gpu.subprocess, "run", call)
        return gpu.gpu()

    return make


def test_a_gpu_and_its_memory(computer):
    line = computer(CUDA, T4)
    assert line.fine
    assert line.seen == "Tesla T4, 14.7 GiB free of 15.0; driver 580.82.07, PyTorch for CUDA 13.0"


@pytest.mark.parametrize(
    ("torch", "smi", "remedy"),
    [
        (CPU, T4, "install PyTorch's CUDA build"),
        (CUDA, T4.replace("580.82.07", "550.54.15"), "install NVIDIA driver 580 or newer"),
        (CUDA, T4.replace("15095", "900"), "shut down other notebooks"),
    ],
)
def test_a_gpu_that_cannot_be_used_has_a_remedy(computer, torch, smi, remedy):
    line = computer(torch, smi)
    assert not line.fine
    assert line.remedy.startswith(remedy)


@pytest.mark.parametrize("smi", ["", "NVIDIA-SMI has failed"])
@pytest.mark.parametrize("vendors", [("0x8086", "0x10de"), ()])
def test_a_cuda_build_without_a_driver_has_a_remedy(computer, smi, vendors):
    line = computer(CUDA, smi, vendors, status=9)
    assert not line.fine
    assert "no NVIDIA driver answers" in line.seen
    assert line.remedy.startswith("install NVIDIA's driver")


def test_a_gpu_without_a_driver_has_a_remedy_even_with_a_cpu_build(computer):
    assert not computer(CPU, vendors=("0x8086", "0x10de")).fine


def test_a_computer_without_a_gpu_is_fine(computer):
    assert computer(CPU).fine
    assert computer(CUDA).seen == f"{gpu.CPU_ONLY} (PyTorch is its CUDA build: for a GPU it would need NVIDIA's driver)"


def test_a_gpu_without_memory_of_its_own(computer):
    line = computer(CUDA, "NVIDIA GB10, [N/A], [N/A], 580.95.05\n")
    assert line.fine
    assert "NVIDIA GB10, memory unknown" in line.seen


def test_colab_without_a_gpu_says_where_to_get_one(computer, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    line = computer(CUDA, "NVIDIA-SMI has failed", ("0x10de",), status=9)
    assert line.fine
    assert "Change runtime type" in line.seen


def test_apple_silicon_is_named(monkeypatch):
    monkeypatch.setattr(gpu.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(gpu.platform, "machine", lambda: "arm64")
    assert "mps" in gpu.gpu().seen


def test_an_nvidia_smi_that_hangs_is_left_behind(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexec sleep 30\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(gpu, "SECONDS", 0.3)
    monkeypatch.setattr(gpu, "has_nvidia_hardware", lambda: True)
    start = time.monotonic()
    line = gpu.gpu()
    assert time.monotonic() - start < 2
    assert "does not answer" in line.seen
    assert not line.fine


@pytest.mark.parametrize(
    ("local", "text", "build"),
    [
        ("", "cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", "12.8"),
        ("", "cuda: Optional[str] = None\nhip: Optional[str] = None\n", "cpu"),
        ("", "cuda = None\nhip = '6.4'\n", "rocm"),
        ("+cpu", "", "cpu"),
        ("+rocm6.4", "", "rocm"),
        ("+cu118", "", "11.8"),
        ("+odd", "", "cpu"),
    ],
)
def test_the_build_of_torch_is_read_from_its_files(local, text, build, tmp_path, monkeypatch):
    (tmp_path / "version.py").write_text(f"__version__ = '2.13.0{local}'\n{text}")
    monkeypatch.setattr(gpu, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    monkeypatch.setattr(gpu, "version", lambda name: f"2.13.0{local}")
    assert gpu.torch_build() == build


# --- processor, memory, disk ---


@pytest.fixture
def container(tmp_path, monkeypatch):
    """A process in control groups; `files` are paths under /sys/fs/cgroup."""

    def make(groups: str, **files) -> None:
        monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
        monkeypatch.setattr(machine, "SYS", tmp_path / "sys")
        for path, text in {"proc/self/cgroup": groups, **files}.items():
            place = tmp_path / (path if path.startswith("proc") else f"sys/fs/cgroup/{path}")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    monkeypatch.setattr(machine, "_visible_cores", lambda: 64)
    return make


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2),
        ("3:cpu,cpuacct:/x\n0::/\n", {"cpu/x/cpu.cfs_quota_us": "400000", "cpu/x/cpu.cfs_period_us": "100000"}, 4),
        ("3:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 64),
        ("0::/\n", {}, 64),
    ],
)
def test_cores_are_those_that_the_container_allows(container, groups, files, cores):
    container(groups, **files)
    assert machine.allowed_cores() == cores


def test_threads_that_share_cores_have_a_remedy(container, monkeypatch):
    container("0::/\n", **{"cpu.max": "200000 100000"})
    line = machine.processor()
    assert "but 64 are visible" in line.seen
    assert "set OMP_NUM_THREADS=2 before you start" in str(line)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert machine.processor().fine
    for wrong in ("3", "many", "0", "2.5"):
        monkeypatch.setenv("OMP_NUM_THREADS", wrong)
        assert "OMP_NUM_THREADS=2" in str(machine.processor())


def test_memory_is_what_the_container_allows_and_cached_files_do_not_count(container):
    files = {"memory.max": 5 * machine.GIB, "memory.current": 3 * machine.GIB}
    stat = f"anon 1\ninactive_file {int(2.5 * machine.GIB)}\n"
    container("0::/\n", **{name: str(size) for name, size in files.items()})
    assert not machine.memory().fine
    container("0::/\n", **{"memory.stat": stat})
    assert machine.memory().seen.startswith("4.5 GiB free of 5.0, as much as this container may use")


def test_a_small_disk_has_a_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=machine.GIB))
    assert "free some space" in str(machine.disk(tmp_path / "not" / "yet"))


# --- folders and progress ---


def test_a_folder_that_is_a_file_has_a_remedy(tmp_path):
    (tmp_path / "file").touch()
    line = doctor.writable("work folder", tmp_path / "file" / "my_work", "COURSE_WORK")
    assert not line.fine
    assert "or set COURSE_WORK" in line.remedy
    fine = doctor.writable("work folder", tmp_path / "new" / "my_work", "COURSE_WORK")
    assert fine.fine
    assert os.listdir(tmp_path) == ["file"], "the doctor left something behind"


def test_a_full_folder_says_how_full_and_a_huge_one_is_not_read_to_its_end(tmp_path, monkeypatch):
    with (tmp_path / "model").open("wb") as file:
        file.truncate(machine.GIB)
    assert doctor.writable("cache", tmp_path, "COURSE_HOME").seen == "can be written, 1.0 GiB in it"
    monkeypatch.setattr(doctor, "FILES_COUNTED", 1)
    assert doctor.writable("cache", tmp_path, "COURSE_HOME").seen == "can be written, over 1.0 GiB in it"


def test_trouble_with_progress_is_said_with_a_remedy():
    folder = Path(os.environ["COURSE_PROGRESS"])
    Progress(folder).record("104", "run")
    assert doctor.progress().seen == "can be written; items kept: 1"
    (folder / "other.jsonl").write_text('{"item": "104.1", "outco\n')
    damaged = doctor.progress()
    assert not damaged.fine
    assert "damaged" in damaged.seen
    assert "course.import_" in damaged.remedy
    newer = {"item": "104.9", "outcome": "shown", "v": 99, "id": "a", "t": "2030"}
    (folder / "newer.jsonl").write_bytes(sealed(newer))
    assert doctor.progress().remedy == "update the course"
    (folder / "folder.jsonl").mkdir()
    assert doctor.progress().remedy.startswith("allow reading and writing in ")


def test_colab_without_drive_says_how_to_mount_it(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_PROGRESS")
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    monkeypatch.chdir(tmp_path)
    assert 'drive.mount("/content/drive")' in str(doctor.progress())


# --- network ---


def test_the_network_is_tried_once_briefly_and_its_absence_is_fine(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with socket.create_server(("127.0.0.1", 0)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{hub.getsockname()[1]}")
        assert "the model hub answers" in doctor.network().seen
    line = doctor.network()
    assert line.fine
    assert line.seen == "not needed: lessons run from the cache (the model hub cannot be reached)"


def test_a_network_that_hangs_is_left_behind(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(doctor, "NETWORK_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(3))
    start = time.monotonic()
    assert doctor.network().fine
    assert time.monotonic() - start < 1


def test_an_offline_machine_is_not_tried(monkeypatch):
    monkeypatch.setattr(doctor, "_reach_hub", lambda: 1 / 0)
    assert "not tried" in doctor.network().seen


# --- notebook ---


def shell(**more):
    return SimpleNamespace(kernel=True, user_ns={}, **more)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["python", "/bin/jupyter-lab", "--ServerApp.token=hush"], "JupyterLab"),
        (["python", "-m", "jupyter", "lab"], "JupyterLab"),
        (["python", "/bin/jupyter-notebook"], "Notebook"),
        (["python", "pytest"], "a Jupyter kernel"),
    ],
)
def test_the_front_end_is_named_by_the_program_that_started_it(command, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=shell))
    monkeypatch.setattr(front_end, "_programs", lambda: [command])
    assert front_end.front_end().seen.startswith(name)
    assert "hush" not in front_end.front_end().seen


def test_vs_code_colab_and_a_terminal_are_named(monkeypatch):
    code = SimpleNamespace(kernel=True, user_ns={"__vsc_ipynb_file__": "104.ipynb"})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: code))
    assert front_end.front_end().seen.startswith("VS Code")
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert front_end.front_end().seen.startswith("a terminal")
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab_20261101")
    assert front_end.front_end().seen.startswith("Colab release-colab_20261101; ipywidgets 8")


@pytest.mark.parametrize(("theirs", "fine"), [("3.0.15", True), ("1.1.10", False), ("", False)])
def test_widgets_need_their_other_half(theirs, fine, monkeypatch):
    real = front_end._version
    monkeypatch.setattr(front_end, "_version", lambda name: theirs if name == "jupyterlab_widgets" else real(name))
    line = front_end.front_end()
    assert line.fine is fine
    assert "jupyterlab_widgets>=3" in line.remedy


def test_a_call_that_is_left_behind_and_one_that_raises():
    assert examining.aside(lambda: time.sleep(2), 0.05, "late")() == "late"
    assert isinstance(examining.aside(lambda: 1 / 0, 1, "late")(), ZeroDivisionError)
