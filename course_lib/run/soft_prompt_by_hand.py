"""A soft prompt as lesson 105 writes it: to read and to compare with PEFT's. Runs use PEFT's."""

import torch
from torch import nn


class SoftPrompt(nn.Module):
    """A frozen model behind `n_tokens` learned rows (n_tokens, width), all that is trained (Lester et al. 2021)."""

    def __init__(self, model: nn.Module, n_tokens: int, seed: int = 0):
        super().__init__()
        self.model = model.requires_grad_(False)
        words = model.get_input_embeddings().weight
        drawn = torch.randint(len(words), (n_tokens,), generator=torch.Generator().manual_seed(seed))
        self.prompt = nn.Parameter(words[drawn].float())

    def forward(self, input_ids, attention_mask=None):
        """Token ids and mask (batch, seq) to logits (batch, seq, vocab): of the text's positions only."""
        text = self.model.get_input_embeddings()(input_ids)
        prompt = self.prompt.to(text.dtype).expand(len(text), -1, -1)
        if attention_mask is not None:
            attention_mask = torch.cat([attention_mask.new_ones(prompt.shape[:2]), attention_mask], dim=1)
        whole = torch.cat([prompt, text], dim=1)
        out = self.model(inputs_embeds=whole, attention_mask=attention_mask)
        return out.logits[:, prompt.shape[1] :]
