"""What is asked of a fine-tuning service, checked and in its own words; the files come to it later.

OpenAI's words are those of its client's types (`openai.types.fine_tuning`), Together's those of its API reference.
"""

from course_lib.errors import CourseError
from course_lib.run.hosted_files import HostedFiles


def request(
    files: HostedFiles,
    provider: str,
    model: str,
    epochs: int,
    *,
    suffix: str | None = None,
    seed: int | None = None,
    beta: float | None = None,
    tuned: bool = False,
) -> dict:
    """The body that makes a job, without the files; arguments as in `Hosted.submit`, those that are None are left out.

    OpenAI takes a model that was tuned before where it takes any model; Together takes it in place of a model.

    Raises:
        CourseError: an argument that no service takes.
    """
    check_names(model, *([] if suffix is None else [suffix]))
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise CourseError("epochs must be a whole number of 1 or more.")
    if seed is not None and (provider == "together" or not isinstance(seed, int)):
        raise CourseError("A seed must be a whole number, and is not sent to Together: leave seed out.")
    if beta is not None and (files.form != "pair" or not isinstance(beta, int | float) or not 0 < beta < float("inf")):
        raise CourseError("beta is a number above 0, and goes with preference pairs: leave it out for chats.")
    if provider == "openai":
        kind = "dpo" if files.form == "pair" else "supervised"
        method = {"type": kind, kind: {"hyperparameters": _given(n_epochs=epochs, beta=beta)}}
        return _given(model=model, method=method, suffix=suffix, seed=seed)
    return _given(
        **{"from_checkpoint" if tuned else "model": model},
        training_method=_given(method="dpo", dpo_beta=beta) if files.form == "pair" else None,
        n_epochs=epochs,
        suffix=suffix,
        n_evals=epochs if files.validation else None,
    )


def check_names(*names: str) -> None:
    """Raise CourseError for a name that cannot be one."""
    if not all(isinstance(name, str) and name and name.isprintable() for name in names):
        raise CourseError("model and suffix must be names in plain text, as the service writes them.")


def _given(**fields) -> dict:
    return {name: value for name, value in fields.items() if value is not None}
