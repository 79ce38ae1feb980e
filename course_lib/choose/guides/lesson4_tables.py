"""The tables, the default configuration and the section names of "Lesson 4: Choosing Your Approach", in its words."""

from course_lib.choose.guides.advice import Section, Table

GUIDE = "lesson4"
TREE = Section(GUIDE, "The Decision Tree", "decision tree")
HARDWARE = Section(GUIDE, "1. What's Your Hardware?", "hardware table")
GOAL = Section(GUIDE, "2. What's Your Goal?", "goal table")
DATA = Section(GUIDE, "3. How Much Data Do You Have?", "data table")
SAFE = Section(GUIDE, "For Most Users: QLoRA + SFT", "safe default")
PIPELINE = Section(GUIDE, "For Quality: SFT + DPO Pipeline", "quality pipeline")
MISTAKES = Section(GUIDE, "Common Mistakes to Avoid", "list of mistakes")
QUICK = Section(GUIDE, "Quick Start Recommendations", "quick start list")
CHECKLIST = Section(GUIDE, "Summary Checklist", "checklist")

SAFE_DEFAULT = {
    "rank": 16,
    "alpha": 16,
    "targets": "all-linear",
    "dropout": 0.0,
    "base_bits": 4,
    "quant_type": "nf4",
    "compute_dtype": "bfloat16",
}
EPOCHS = (1, 3)
VALIDATION_SHARE = (0.10, 0.20)

TABLES = {
    "tree": Table.of(
        TREE.where,
        """
VRAM | Answer
<8GB | Use API fine-tuning (OpenAI, Together AI)
8-16GB | QLoRA on 7-8B models
16-24GB | QLoRA on 7-70B models
24GB+ | LoRA or QLoRA on any model
""",
    ),
    "hardware": Table.of(
        HARDWARE.where,
        """
VRAM | Recommended Approach | Max Model Size
8GB | QLoRA + Unsloth | 7B
16GB | QLoRA + Unsloth | 13B
24GB | QLoRA or LoRA | 70B (QLoRA)
48GB+ | LoRA or Full FT | 70B (LoRA)
""",
    ),
    "goal": Table.of(
        GOAL.where,
        """
Goal | Recommended Method | Why
Teach domain knowledge | SFT | Trains on instruction-response pairs
Improve response quality | SFT + DPO | DPO aligns outputs to preferences
Change output format | SFT | Easy to learn structured outputs
Reduce harmful outputs | DPO | Preference learning is ideal
Maximum customization | Full fine-tuning | Updates all parameters
""",
    ),
    "data": Table.of(
        DATA.where,
        """
Dataset Size | Recommendation
<100 examples | Use few-shot prompting instead
100-1,000 | SFT with LoRA, watch for overfitting
1,000-10,000 | SFT with LoRA, optimal range
10,000+ | SFT + DPO, or consider full fine-tuning
""",
    ),
    "mistakes": Table.of(
        MISTAKES.where,
        """
Mistake | Wrong | Right
1. Skipping Data Quality | "I'll just throw 50,000 examples at it" | 1,000 high-quality examples beat 50,000 noisy ones
2. Overfitting on Small Datasets | Training for 10 epochs on 500 examples | 1-3 epochs, use validation set, monitor loss
3. Wrong Model Size | Fine-tuning 70B when 7B would suffice | Start small, scale up only if needed
4. Ignoring Base Model Choice | Fine-tuning any random model | Choose a base model already good at your task type
""",
    ),
    "quick starts": Table.of(
        QUICK.where,
        """
Your Situation | Do This
First time fine-tuning | QLoRA + Unsloth on Llama 3.2 3B
Need production quality | QLoRA on Llama 3.2 8B or Mistral 7B
Limited VRAM | QLoRA + Unsloth, gradient checkpointing
Need best possible quality | LoRA on 70B or full fine-tune
""",
    ),
    "checklist": Table.of(
        CHECKLIST.where,
        """
Before you start fine-tuning
Defined clear success metrics
Collected 500+ high-quality training examples
Chosen base model appropriate for task
Verified hardware can handle chosen approach
Prepared validation set (10-20% of data)
Set up experiment tracking (wandb, mlflow)
""",
    ),
}
