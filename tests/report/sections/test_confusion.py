import numpy as np

from hawq.report.sections import confusion

LABELS = np.array([0, 0, 0, 1])
LOGITS = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 1.0], [0.0, 3.0]])


def test_counts_by_hand() -> None:
    found = confusion.measure({"float": LOGITS}, LABELS, ("g", "q"))
    assert found.matrices[0].counts == ((2, 1), (0, 1))


def test_cells_are_fractions_of_the_true_class() -> None:
    found = confusion.measure({"float": LOGITS}, LABELS, ("g", "q"))
    (axes,) = confusion.draw(found).axes
    cells = [text.get_text() for text in axes.texts]
    assert cells == ["66.7", "33.3", "0.0", "100.0"]


def test_a_class_without_samples_draws() -> None:
    found = confusion.measure({"float": LOGITS}, np.zeros(4, int), ("g", "q"))
    (axes,) = confusion.draw(found).axes
    assert [text.get_text() for text in axes.texts] == ["50.0", "50.0", "0.0", "0.0"]


def test_one_matrix_a_network() -> None:
    both = {"float": LOGITS, "firmware": -LOGITS}
    found = confusion.measure(both, LABELS, ("g", "q"))
    titles = [axes.get_title("left") for axes in confusion.draw(found).axes]
    assert titles == [
        "float: % of the true class",
        "firmware: % of the true class",
    ]
