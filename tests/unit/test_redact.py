"""Secrets are taken out whole, and nothing else is. All of them are made up, and put together only when a test runs."""

import random
import string
import time

import pytest

from course_lib.learn import redact as module
from course_lib.learn.redact import REMOVED, clip_redacted, redact

MIXED = string.ascii_letters + string.digits
chance = random.Random(40)


def some(length: int, letters: str = MIXED) -> str:
    return "".join(chance.choices(letters, k=length - 2)) + "Z9"


def jwt(*lengths: int) -> str:
    return "ey" + "J" + ".".join([some(20), *(some(n, MIXED + "-_") for n in lengths)])


URL, B64, UPPER = MIXED + "!$%^*_-.~", MIXED + "-_", string.ascii_uppercase + string.digits
SECRETS = (
    ["hf" + "_" + some(34) for _ in range(3)]
    + ["hf" + "_" + "".join(chance.choices(string.ascii_lowercase, k=34)), "api" + "_org_" + some(34)]
    + ["sk" + "-" + some(48), "sk" + "-proj-" + some(60, B64) + some(60), "sk" + "-ant-api03-" + some(93)]
    + ["sk" + "-or-v1-" + some(64, "0123456789abcdef"), "sk" + "-svcacct-" + "aB3_" + some(50)]
    + ["AKI" + "A" + some(16, UPPER), "ASI" + "A" + some(16, UPPER), "AIz" + "a" + some(35, B64)]
    + [f"gh{kind}" + "_" + some(36) for kind in "pousr"]
    + ["github" + "_pat_" + some(22) + "_" + some(59), "glpat" + "-" + some(20), "gsk" + "_" + some(52)]
    + ["nvapi" + "-" + some(64, B64), "r8" + "_" + some(37), "tgp" + "_v1_" + some(43), "xox" + "b-" + some(50, B64)]
    + ["pypi" + "-" + some(150, B64), jwt(60, 43), jwt(300, 86), jwt(80)]
)
# (before, the secret, after): what is beside the secret stays.
PLACED = [
    ("https://reader:", some(12, URL), "@example.org/simple"),
    ("postgresql://me:", "p@ss/" + some(8), "@db:5432/x"),
    ("redis://:", some(16), "@cache"),
    ("http://localhost:8888/lab?token=", some(48, "0123456789abcdef"), " is running"),
    ("https://example.org/x?a=1&api_key=", some(20), "&b=2"),
    ("Authorization: Bearer ", some(30, B64), "'"),
    ("curl -H 'authorization: Basic ", some(24), "' x"),
    ("{'password': '", some(12), "', 'user': 'me'}"),
    ('Client(api_key="', some(24), '")'),
    ("aws_secret_access_key = ", some(40, MIXED + "/+"), "\n"),
    ("", f"-----BEGIN {'PRIVATE KEY'}-----\n{some(64)}\n{some(64)}\n-----END {'PRIVATE KEY'}-----", "\n"),
    ("cut: ", f"-----BEGIN RSA {'PRIVATE KEY'}-----\n{some(64)}\n{some(30)}", ""),
]
ORDINARY = [
    "OSError: [Errno 28] No space left on device: '/home/reader/my_work/runs/2026-11-22_lora/checkpoint-40'",
    "commit 3f786850e387550fdaab836ed7e6dc881de23001 of HuggingFaceTB/SmolLM2-135M-Instruct",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "TypeError: SFTConfig.__init__() got an unexpected keyword argument 'hf_token_for_pushing_to_hub'",
    "from huggingface_hub import hf_hub_download, hf_raise_for_status; HF_HUB_ENABLE_HF_TRANSFER=1",
    "pad_token='<|endoftext|>', eos_token=\"<|im_end|>\", max_new_tokens=64, tokens: 12345678901234567890",
    "KeyError: 'input_ids_with_a_very_long_name_0123456789'; ask-me-anything-0123456789abcdefghij",
    "module 'sklearn' has no attribute 'sk-learn_contrib_tools'; task-specific-fine-tuning, disk-0123456789abcdef",
    "meta-llama/Llama-3.2-1B-Instruct, unsloth/mistral-7b-bnb-4bit, Qwen/Qwen2.5-0.5B, TheBloke/Llama-2-7B-GGUF",
    "401 Client Error. (Request ID: Root=1-65f0c2a1-3c5d1b2a4e6f7a8b9c0d1e2f;8a1b2c3d-4e5f-6a7b-8c9d-0e1f2a3b4c5d)",
    "Invalid credentials in Authorization header; use bearer authentication. Bearer Authentication is needed.",
    "https://huggingface.co:443/models?search=lora&sort=downloads and http://127.0.0.1:8888/lab?reset, me@example.org",
    "git+https://github.com/owner/course@main; ssh://git@github.com/owner/course.git",
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 14.75 GiB of which 9.06 MiB is free.",
    "The api_key client option must be set by passing api_key to the client or by setting OPENAI_API_KEY",
    "password: give one of at least 12 characters; secret = None; api_key=os.environ['KEY']; key = 'short'",
    "eyJ is how a JWT begins; AKIA too; sk-; hf_; ghp_; Bearer; -----BEGIN CERTIFICATE-----",
    "File /usr/lib/python3.11/site-packages/transformers/models/llama/modeling_llama.py:1234, in forward",
    '  File "/tmp/ipykernel_4242/3735928559.py", line 7, in <module>',
    "tensor([[0.1234567890123456, -1e-08]], device='cuda:0', dtype=torch.float16)",
]


def leaks() -> list[str]:
    """The secrets of which four characters or more in a row are left, beside what was there before."""
    left = []
    for before, secret, after in (
        [("it says ", s, ", so there") for s in SECRETS] + [("'", s, "'") for s in SECRETS] + PLACED
    ):
        said = redact(before + secret + after)
        pieces = {secret[i : i + 4] for i in range(len(secret) - 3)}
        if said != before + REMOVED + after or any(piece in said.replace(before, "") for piece in pieces - {"----"}):
            left.append(f"{before}{secret}{after} -> {said}")
    return left


def test_each_of_forty_secrets_is_removed_whole():
    assert len(SECRETS) + len(PLACED) >= 40
    assert leaks() == []


def test_the_check_of_secrets_finds_a_pattern_that_is_missing_or_too_short(monkeypatch):
    monkeypatch.setattr(module, "PATTERNS", module.PATTERNS[1:])
    assert len(leaks()) == 10
    monkeypatch.setattr(module, "redact", lambda text: text.replace("hf_", REMOVED))
    monkeypatch.setitem(globals(), "redact", module.redact)
    assert len(leaks()) == 2 * len(SECRETS) + len(PLACED)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_texts_stay_as_they_are(text):
    assert redact(text) == text


def test_values_of_variables_that_are_named_as_secrets(monkeypatch, tmp_path):
    named = {name: some(9, URL) for name in ("WANDB_API_KEY", "MY_TOKEN", "client_secret", "DB_PASSWORD")}
    for name, value in {**named, "A_KEY": "true", "TOKENIZERS_PARALLELISM": "false", "KEY_FILE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    assert redact(f"true, false, {tmp_path}: {', '.join(named.values())}") == (
        f"true, false, {tmp_path}: {', '.join([REMOVED] * len(named))}"
    )


def test_secrets_that_overlap_are_removed_as_one(monkeypatch):
    token = "hf" + "_" + some(34)
    monkeypatch.setenv("A_TOKEN", token[10:25])
    monkeypatch.setenv("B_TOKEN", token[20:] + "!rest")
    assert redact(f"({token}!rest)") == f"({REMOVED})"
    assert redact(f"{token} {token}") == f"{REMOVED} {REMOVED}"


@pytest.mark.parametrize("at", [90, 97, 100, 5080, 5097, 5100])
def test_a_clipped_text_ends_in_no_half_of_a_secret(at):
    token = "hf" + "_" + some(34)
    said = clip_redacted("x" * (at - 1) + " " + token + " " + "y" * 20_000, 100)
    assert token[:6] not in said
    assert said.endswith(" characters)")
    assert len(said) < 150
    assert clip_redacted(f"it is {token}", 200) == f"it is {REMOVED}"


def test_a_text_of_ten_megabytes_is_clipped_at_once():

    begun = time.perf_counter()
    for hostile in ("sk-" * 3_000_000, "://a:b" * 1_600_000, "ey" + "J-" * 5_000_000):
        clip_redacted(hostile, 20_000)
    assert time.perf_counter() - begun < 3  # seconds; whole it takes a minute
