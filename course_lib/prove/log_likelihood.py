"""How likely a model finds texts that it did not write: perplexity, bits per byte, and which answer of a pair it prefers."""

import numpy as np
import torch
from tqdm import tqdm

from course_lib.errors import CourseError
from course_lib.run.chat import IGNORED, Encoded, encode_rows
from course_lib.run.preference import answer_log_probabilities, collate_pairs, encode_pairs
from course_lib.run.step import collate, target_loss

WINDOW = 512  # tokens of a plain text predicted at a time: the same for every model, so that they can be compared


def longest(model) -> int:
    """Tokens that a model takes."""
    return getattr(model.config, "max_position_embeddings", None) or 2048


@torch.inference_mode()
def _nats(model, tokenizer, row: Encoded) -> float:
    """Summed cross-entropy of a row's targets."""
    batch = {name: tensor.to(model.device) for name, tensor in collate([row], tokenizer.pad_token_id, False).items()}
    return target_loss(model, batch, 1).item()


def _targets(row: Encoded) -> int:
    return sum(label != IGNORED for label in row.labels[1:])


def of_chats(model, tokenizer, rows: list[dict]) -> np.ndarray:
    """(rows, 2): nats and tokens of each chat's answers."""
    encoded = encode_rows(tokenizer, rows, longest(model))
    return np.array([(_nats(model, tokenizer, row), _targets(row)) for row in tqdm(encoded, "perplexity", unit="row")])


def of_texts(model, tokenizer, rows: list[dict]) -> dict[str, np.ndarray]:
    """For each plain text nats and tokens (perplexity), nats and bytes of UTF-8 (bits_per_byte): (rows, 2) each.

    Every token of a text is predicted, the first one from an end-of-sequence token, as continued pretraining has it between
    texts. A long text is cut into windows without overlap, each of which sees one token of the window before (as
    lm-evaluation-harness's `loglikelihood_rolling` does it).
    """
    nats, tokens, octets = [], [], []
    for row in tqdm(rows, "perplexity", unit="text"):
        windows = text_windows(tokenizer, row["text"], min(WINDOW, longest(model) - 1))
        nats.append(sum(_nats(model, tokenizer, window) for window in windows))
        tokens.append(sum(map(_targets, windows)))
        octets.append(len(row["text"].encode()))
    return {"perplexity": np.column_stack([nats, tokens]), "bits_per_byte": np.column_stack([nats, octets])}


def text_windows(tokenizer, text: str, window: int) -> list[Encoded]:
    """A text's tokens, `window` targets at a time, each behind the one token before them.

    Raises:
        CourseError: the tokenizer has no end-of-sequence token.
    """
    if tokenizer.eos_token_id is None:
        raise CourseError("This model's tokenizer has no end-of-sequence token: set tokenizer.eos_token.")
    ids = [tokenizer.eos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
    parts = [ids[start : start + window + 1] for start in range(0, len(ids) - 1, window)]
    return [Encoded(part, [IGNORED, *part[1:]]) for part in parts]


@torch.inference_mode()
def of_pairs(model, tokenizer, rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, 2) each: the summed log-probability of each pair's chosen and rejected answer, in nats, and their tokens."""
    pairs = encode_pairs(tokenizer, rows, longest(model))
    share = not getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False)
    logp = []
    for pair in tqdm(pairs, "preferences", unit="pair"):
        batch = collate_pairs([pair], tokenizer.pad_token_id, share)
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        logp.append(answer_log_probabilities(model, batch)[:, 0].float().cpu().numpy())
    return np.array(logp), np.array([(_targets(pair.chosen), _targets(pair.rejected)) for pair in pairs])


def preferences(logp: np.ndarray, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """Whether each chosen answer is likelier than the rejected one, as a whole and per token: 1 or 0.

    A longer answer is less likely for its length alone, so that the two can disagree (Meng et al. 2024, "SimPO").
    """
    each = logp / tokens
    return {
        "preference_accuracy": (logp[:, 0] > logp[:, 1]).astype(float),
        "preference_accuracy_per_token": (each[:, 0] > each[:, 1]).astype(float),
    }


def rewards(logp: np.ndarray, reference: np.ndarray, beta: float) -> dict[str, np.ndarray]:
    """How much more the model has come to prefer the chosen answers than the reference does (Rafailov et al. 2023, section 5).

    An answer's reward is beta x (its log-probability - the reference's), in nats; `reward_margin` is the chosen one's less the
    rejected one's, and `reward_accuracy` says whether that is above 0.
    """
    reward = beta * (logp - reference)
    margin = reward[:, 0] - reward[:, 1]
    return {"reward_accuracy": (margin > 0).astype(float), "reward_margin": margin}
