"""What a classifier with a head says of held-out texts."""

import torch
from tqdm import tqdm

from course_lib.prove.log_likelihood import longest
from course_lib.run.classification import collate_labelled, encode_labelled


@torch.inference_mode()
def labels_said(model, tokenizer, rows: list[dict], name: str) -> list[str]:
    """The likeliest label of each chat row's last question; rows whose own label is unknown to the head get one as well."""
    labels = model.config.id2label
    said = []
    for row in tqdm(encode_labelled(tokenizer, rows, [], longest(model)), name, unit="row"):
        batch = collate_labelled([row], tokenizer.pad_token_id)
        inputs = {key: batch[key].to(model.device) for key in ("input_ids", "attention_mask")}
        said.append(labels[int(model(**inputs).logits[0].argmax())])
    return said
