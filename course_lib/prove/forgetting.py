"""How much of what the base model could do was lost: its perplexity on general texts before and after training."""

from contextlib import nullcontext

from course_lib.errors import CourseError
from course_lib.prove.evaluate import evaluate
from course_lib.prove.scores import Scores, ratio
from course_lib.run import data as data_module
from course_lib.run.assets import model_folder
from course_lib.run.data import DataSet
from course_lib.run.methods import load_base
from course_lib.run.result import Run


def forgetting(model_or_run, general: str | DataSet = "python-docs", n: int | None = None) -> Scores:
    """Perplexity of held-out general texts: "base" and "tuned", and how many times the base's the tuned one is, "ratio".

    A ratio of 1 says that nothing was lost on such texts, 1.1 that the model is as unsure of each token as among 1.1 times as
    many. All three have 95 % intervals; the ratio's is paired, over the same texts.

    Args:
        model_or_run: a Run, or a loaded PEFT model (its base is the model with the adapter off).
        general: plain texts, by name, file or DataSet; their test rows are read.
        n: how many of these texts, from the first; default all.

    Raises:
        CourseError: a model whose base is not known, a classifier, or rows that are no plain texts.
    """
    is_run = isinstance(model_or_run, Run)
    if not is_run and not hasattr(model_or_run, "disable_adapter"):
        raise CourseError(
            "What was forgotten is the difference from a base model, and here none is known: pass a Run, or a PEFT model."
        )
    if is_run and model_or_run.plan.objective == "classification":
        raise CourseError(
            "A classifier with a head foresees no text, so that nothing can be compared: pass another run."
        )
    data = general if isinstance(general, DataSet) else data_module.load(general, form="plain")
    model = model_or_run.model() if is_run else model_or_run
    tuned = evaluate(model, data, ("perplexity",), n=n)
    if hasattr(model, "disable_adapter"):
        off = model.disable_adapter()
    else:
        plan, off = model_or_run.plan, nullcontext()
        del model  # one model in memory at a time
        model = load_base(model_folder(plan.model, plan.revision), plan)
    with off:
        base = evaluate(model, data, ("perplexity",), n=n)
    scores = {"base": base["perplexity"], "tuned": tuned["perplexity"], "ratio": ratio(tuned, base, "perplexity")}
    return Scores(scores, digest=tuned.digest)
