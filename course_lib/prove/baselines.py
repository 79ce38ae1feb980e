"""What a language model has to beat: baselines without one, scored on the same rows as `evaluate` scores a model."""

from collections import Counter
from collections.abc import Callable

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin
from sklearn.pipeline import make_pipeline

from course_lib.errors import CourseError
from course_lib.prove.evaluate import answered, rows_to_score
from course_lib.prove.metrics import METRICS_FOR, check_records
from course_lib.prove.scores import Scores, scored
from course_lib.run.classification import labels_in, text_of
from course_lib.run.data import DataSet
from course_lib.run.forms import FORMS

C = 30  # little regularisation; on licences nearly the best for 200 to 1,000 rows, where sklearn's 1 is far behind


def by_rule(
    rule: Callable[[str], str], data: DataSet, metrics: tuple[str, ...] | None = None, n: int | None = None
) -> Scores:
    """What a function that reads a question and returns an answer gets right. metrics: as of `evaluate`.

    Raises CourseError: as `nearest_row`.
    """
    rows = _to_answer(data, n)
    return _scores(rows, [rule(question) for question in _questions(rows)], metrics or METRICS_FOR[data.answer])


def most_frequent_label(data: DataSet, n: int | None = None) -> Scores:
    """The most frequent training answer, said whatever is asked; answers count as labels.

    Raises CourseError: as `nearest_row`.
    """
    rows = _to_answer(data, n)
    [(label, _)] = Counter(_answers(data.train)).most_common(1)
    return _scores(rows, [label] * len(rows), METRICS_FOR["label"])


def tf_idf_classifier(data: DataSet, n: int | None = None) -> Scores:
    """Logistic regression on words and pairs of words, weighted by TF-IDF, learned from the training rows.

    Raises CourseError: as `nearest_row`, and for answers that are no labels or all the same.
    """
    rows = _to_answer(data, n)
    if data.answer != "label":
        raise CourseError(
            f"The answers of {data.name} are no labels, and a classifier names nothing else: compare with nearest_row."
        )
    labels_in(data.train)
    classifier = make_pipeline(_tf_idf(), LogisticRegression(C=C, max_iter=1000))
    classifier.fit(_questions(data.train), _answers(data.train))
    return _scores(rows, classifier.predict(_questions(rows)).tolist(), METRICS_FOR["label"])


def nearest_row(data: DataSet, n: int | None = None) -> Scores:
    """The answer of the training row whose question is the most similar, by the cosine of their TF-IDF weights.

    Args:
        data: chats; a row's question is the last that the user says.
        n: how many of the test rows, from the first; default all.

    Raises:
        CourseError: the rows are no chats, there are none to learn from or to score, or n leaves none.
    """
    rows = _to_answer(data, n)
    weigh = _tf_idf().fit(_questions(data.train))
    nearest = pairwise_distances_argmin(
        weigh.transform(_questions(rows)), weigh.transform(_questions(data.train)), metric="cosine"
    )
    answers = _answers(data.train)
    return _scores(rows, [answers[i] for i in nearest], METRICS_FOR[data.answer])


def _to_answer(data: DataSet, n: int | None) -> list[dict]:
    if data.answer in ("pair", "plain"):
        raise CourseError(
            f"{data.name} holds {FORMS[data.answer].rows}, and this baseline answers chats: load a data set of questions and answers."
        )
    if not data.train:
        raise CourseError(f"{data.name} has no training rows for a baseline to learn from: add some.")
    return rows_to_score(data, n)[0]


def _tf_idf() -> TfidfVectorizer:
    """A word is letters, digits and underscores, or one other character, so that no text is without words."""
    return TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True)


def _questions(rows: list[dict]) -> list[str]:
    return [text_of(row) for row in rows]


def _answers(rows: list[dict]) -> list[str]:
    return [row["messages"][-1]["content"] for row in rows]


def _scores(rows: list[dict], said: list[str], metrics: tuple[str, ...]) -> Scores:
    if "field_accuracy" in metrics:
        check_records(rows)
    tables, kept = answered(rows, said, metrics)
    return scored(tables, rows, kept)
