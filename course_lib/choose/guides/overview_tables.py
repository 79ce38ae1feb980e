"""The five techniques and the tables of "Model Fine-Tuning Techniques - Overview", in its words.

Its coloured dots say again what the word beside them says and are left out; its stars are counted.
"""

from dataclasses import dataclass

from course_lib.choose.guides.advice import Section, Table

GUIDE = "overview"
FULL = Section(GUIDE, "1. Full Fine-Tuning", "full fine-tuning section")
LORA = Section(GUIDE, "2. LoRA (Low-Rank Adaptation)", "LoRA section")
QLORA = Section(GUIDE, "3. QLoRA (Quantized LoRA)", "QLoRA section")
PROMPT = Section(GUIDE, "4. Prompt Tuning / Soft Prompts", "prompt tuning section")
ADAPTERS = Section(GUIDE, "5. Adapter Layers", "adapters section")
WHEN = Section(GUIDE, "When to Fine-Tune", "list of when to fine-tune")


@dataclass(frozen=True)
class Technique:
    """What the guide says of one technique: its three lists, in its words."""

    what: str
    pros: tuple[str, ...]
    cons: tuple[str, ...]
    when: tuple[str, ...]


TECHNIQUES = {
    "full": Technique(
        "Update all model parameters during training",
        (
            "Maximum flexibility and performance",
            "Can completely adapt model behavior",
            "Well-understood and documented",
        ),
        (
            "Requires significant GPU memory",
            "Slower training",
            "Higher risk of overfitting on small datasets",
            "More expensive",
        ),
        (
            "You have sufficient compute resources",
            "You need maximum model quality",
            "You have a large dataset (>10k examples)",
        ),
    ),
    "lora": Technique(
        "Inject trainable low-rank matrices into model layers while freezing original weights",
        (
            "99% of full fine-tuning quality",
            "Trains <1% of parameters",
            "Fast training and switching between tasks",
            "Easy to merge back into base model",
        ),
        (
            "Slightly lower quality than full fine-tuning",
            "Requires understanding of rank selection",
            "May not work well for drastic domain shifts",
        ),
        (
            "Limited GPU memory",
            "Need to train multiple task adaptations",
            "Want fast experimentation cycles",
            "Most common starting point!",
        ),
    ),
    "qlora": Technique(
        "LoRA combined with 4-bit quantization of base model",
        (
            "Fine-tune 65B+ models on consumer GPUs",
            "Extreme memory efficiency",
            "Minimal quality loss vs full LoRA",
        ),
        (
            "Slightly slower training than LoRA",
            "Requires bitsandbytes library",
            "More complex setup",
        ),
        (
            "Very limited GPU memory",
            "Want to fine-tune large models (30B+)",
            "Willing to trade some speed for efficiency",
        ),
    ),
    "prompt_tuning": Technique(
        "Learn continuous prompt embeddings while keeping model frozen",
        (
            "Minimal parameters (0.01% of model)",
            "Very fast training",
            "Easy to manage multiple tasks",
            "Great for few-shot scenarios",
        ),
        (
            "Lower quality than LoRA/full fine-tuning",
            "Requires careful prompt design",
            "Best for simpler tasks",
        ),
        (
            "Extremely limited resources",
            "Multi-task scenarios",
            "Simple classification/extraction tasks",
        ),
    ),
    "adapters": Technique(
        "Insert small trainable modules between frozen layers",
        (
            "Modular and composable",
            "Good balance of efficiency and quality",
            "Can combine multiple adapters",
        ),
        (
            "Increases inference latency",
            "More complex architecture",
            "Less popular than LoRA",
        ),
        (
            "Need to combine multiple task adaptations",
            "Want modular, swappable components",
            "Inference latency is acceptable",
        ),
    ),
}

COMPARISON = Table.of(
    "Technique Comparison",
    """
Technique | Parameters Trained | Memory | Training Speed | Quality | Complexity
Full Fine-Tuning | 100% | High | Slow | 5 of 5 stars | Easy (1 star)
LoRA | <1% | Low | Fast | 4 of 5 stars | Medium (2 stars)
QLoRA | <1% | Very Low | Medium | 4 of 5 stars | Hard (3 stars)
Prompt Tuning | <0.01% | Very Low | Very Fast | 3 of 5 stars | Medium (2 stars)
Adapters | 1-5% | Medium | Medium | 4 of 5 stars | Hard (3 stars)
""",
)
TRACKING = Table.of(
    "Track Your Progress",
    """
Technique | Beginner | Intermediate | Expert
Full Fine-Tuning | to do | to do | to do
LoRA | to do | to do | to do
QLoRA | N/A | to do | to do
Prompt Tuning | to do | to do | N/A
Adapters | N/A | to do | to do
""",
)
TABLES = {"comparison": COMPARISON, "tracking": TRACKING}
