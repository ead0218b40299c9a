import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hawq.records import Difference
from hawq.report import content as contents
from hawq.report import page, style
from hawq.report.content import Content
from hawq.report.evidence import read
from hawq.report.stage import Settings

SECTIONS = [
    "ladder",
    "accuracy",
    "roc",
    "confusion",
    "features",
    "sensitivity",
    "bits",
    "pareto",
    "types",
    "synthesis",
    "training",
    "repeat",
]
FIGURES = [
    "agreement",
    "roc",
    "confusion",
    "features",
    "sensitivity",
    "prediction",
    "bits",
    "pareto",
    "seeds",
    "layers",
    "expected",
    "training",
]


class _Page(HTMLParser):
    """Collect links, anchors and unclosed tags."""

    VOID = frozenset({"meta", "img", "br", "link", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.alternatives: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        values = {key: value or "" for key, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []
        self.sources += [values["src"]] if "src" in values else []
        self.alternatives += [values["alt"]] if "alt" in values else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def gather(folders: dict[str, Path], title: str = "Jets") -> Content:
    return contents.gather(
        read(folders), None, title=title, flow="toy", seed=7, settings=Settings()
    )


@pytest.fixture(scope="module")
def content(flow: dict[str, Path]) -> Content:
    return gather(flow)


def draw(content: Content) -> dict[str, bytes]:
    figures = page.draw_figures(content)
    for figure in figures.values():
        style.arrange(figure)
    return {name: style.svg(figure) for name, figure in figures.items()}


@pytest.fixture(scope="module")
def pictures(content: Content) -> dict[str, bytes]:
    return draw(content)


@pytest.fixture(scope="module")
def html(content: Content, pictures: dict[str, bytes]) -> str:
    return page.render(content, pictures)


def text_of(html: str) -> str:
    bare = re.sub(r"<[^>]*>", " ", html.split("</style>")[1])
    return re.sub(r"[ \n]+", " ", bare)


def test_sections_in_order(html: str) -> None:
    found = [name for name in _Page(html).ids if "-" not in name]
    assert found == ["summary", *SECTIONS]


def test_figures_in_order(html: str) -> None:
    parsed = _Page(html)
    found = [name for name in parsed.ids if name.startswith("figure-")]
    assert found == [f"figure-{name}" for name in FIGURES]
    assert len(parsed.alternatives) == len(FIGURES)
    assert all(parsed.alternatives)


def test_the_page_needs_no_other_file(html: str) -> None:
    parsed = _Page(html)
    assert parsed.open == []
    assert not parsed.tags & {"script", "link", "iframe", "object", "embed", "video"}
    for source in parsed.sources:
        assert source.startswith("data:image/svg+xml;base64,")
    assert "url(" not in html
    assert "@import" not in html
    for source in parsed.sources:
        svg = base64.b64decode(source.partition(",")[2]).decode()
        assert not re.search(r"""(?:href|src)\s*=\s*["'](?!\#|data:)""", svg)


def test_links_lead_to_sections(html: str) -> None:
    parsed = _Page(html)
    assert len(parsed.links) == len(SECTIONS)
    assert {link.removeprefix("#") for link in parsed.links} <= set(parsed.ids)


def test_the_summary_gives_the_verdict(html: str, content: Content) -> None:
    text = text_of(html)
    assert "Every integer is equal on every rung of the ladder" in text
    assert "3\u202f680 integers on up to 320 input vectors" in text
    assert "390 of 400 BOPs" in text
    assert "Weights and biases take 54 bits of memory" in text
    assert content.accuracy is not None
    assert content.accuracy.paired is not None
    shown = f"{100 * content.accuracy.paired.difference:.2f}".replace("-", "−")
    assert f"On the same jets the firmware is {shown} ±" in text


def test_what_is_not_proved_is_said(html: str) -> None:
    text = text_of(html)
    assert "Inputs that were not tried are not covered." in text
    assert "Nothing was synthesised" not in text
    assert "not simulated as a netlist: vivado." in text
    assert "computed on the host in double precision" in text


def test_numbers_of_the_tables(html: str) -> None:
    text = text_of(html)
    for expected in (
        "PyTorch network QONNX executor 320 2 1\u202f600 0 ✓ equal",
        "fixed<8,3,RND_CONV,SAT,0>".replace("<", "&lt;").replace(">", "&gt;"),
        "reversed order 380 0.0500",
        "Spearman’s rank correlation with ½ · s · ‖δ‖² is 1.000",
        "1 trial whose loss did not rise",
        "hawq run toy.toml",
        "numpy 2.0",
    ):
        assert expected in text


def test_a_difference_is_shouted(flow: dict[str, Path], content: Content) -> None:
    first = Difference(
        tensor="fc1",
        sample=12,
        index=(1,),
        expected="3",
        got="4",
        expected_type="fixed<8,3>",
        got_type="fixed<9,3>",
        inputs="all_minima",
    )
    assert content.ladder is not None
    pair = content.ladder.pairs[1]
    bad = pair.model_copy(
        update={"comparison": pair.comparison.model_copy(update={"first": first})}
    )
    ladder = content.ladder.model_copy(update={"pairs": (content.ladder.pairs[0], bad)})
    changed = content.model_copy(update={"ladder": ladder, "equal": ladder.equal})
    text = text_of(page.render(changed, dict.fromkeys(FIGURES, b"")))
    assert "The rungs of the ladder differ : they are NOT equal" in text
    assert "Every integer is equal" not in text
    assert (
        "first differs from QONNX executor at tensor fc1 , sample 12 of all_minima, "
        "element [1]: expected 3 ( fixed&lt;8,3&gt; ), got 4"
    ) in text


@pytest.mark.parametrize("stage", ["rtl", "synthesis"])
def test_a_netlist_that_differs_is_shouted(
    own_flow: dict[str, Path], stage: str
) -> None:
    path = own_flow[stage] / "record.json"
    record = json.loads(path.read_text())
    held = record if stage == "rtl" else record["targets"]["ecp5"]
    held["comparison"]["tensors"][0]["different"] = 1
    path.write_text(json.dumps(record))
    content = gather(own_flow)
    assert content.equal is False
    text = text_of(page.render(content, dict.fromkeys(FIGURES, b"")))
    assert "they are NOT equal" in text
    assert text.count("1 ✗ NOT equal") == 1
    assert "Every integer is equal" not in text
    assert "That the forms are not the same network." in text


def test_a_proof_is_told_as_far_as_it_goes(html: str) -> None:
    text = text_of(html)
    assert (
        "Netlist of xcup and RTL, for every input: ✓ proved equal by Yosys sat 0.70, "
        "93 bits"
    ) in text
    assert (
        "Netlist of ecp5 and RTL, for every input: unknown: Yosys sat 0.70 proved 60 "
        "bits equal and left 33 undecided"
    ) in text


def test_the_tables_of_hardware(html: str) -> None:
    text = text_of(html)
    for expected in (
        "golden integer graph ECP5 netlist (Verilator) 20 1 60 0 ✓ equal",
        "look-up tables (LUT) 144 (14 %) 151.5 (15 %) – 160 (16 %) 1\u202f000",
        "multiplier blocks (DSP) – – – 0 –",
        "block RAM (BRAM, 18 kbit) – – – not reported –",
        "after synthesis resources Yosys 0.70 stat.json not placed",
        "area of the cells [µm²] – 12\u202f346",
        "… without switching [mW] – ≤ 0.250",
        "before layout; activity: activity of the simulation",
        "Lattice ECP5 min / median / max 125.0 / 128.0 / 160.0",
        "runs layer fc1, neuron 2, register → layer fc2, neuron 0, adder : 3.25 ns, "
        "of which logic 1.50 ns and route 1.75 ns; levels of logic: 7.",
        "sum of the layers 184 1",
        "the network in one 160 0",
        "fitted to layers, at the exported integers 144 LUT 160 0.9",
        "The cost model expects 6.50 ns",
    ):
        assert expected.replace(" :", ":") in text.replace(" :", ":"), expected


def test_what_nobody_asked_for_is_named(flow: dict[str, Path]) -> None:
    stages = {n: f for n, f in flow.items() if n not in {"rtl", "synthesis"}}
    content = gather(stages)
    assert list(content.not_asked) == ["rtl", "synthesis"]
    assert content.absent == {}
    text = text_of(page.render(content, dict.fromkeys(FIGURES, b"")))
    assert "Nothing was synthesised: this page holds no look-up tables" in text
    assert "hawq run --with synthesis" in text
    assert "to the compiled firmware :" in text.replace("firmware:", "firmware :")


def test_rtl_alone_is_no_firmware(flow: dict[str, Path]) -> None:
    content = gather({name: flow[name] for name in ("data", "rtl")})
    text = text_of(page.render(content, dict.fromkeys(FIGURES, b"")))
    assert "from the golden executor to the RTL" in text
    assert "compiled firmware" not in text
    assert "g++" not in text


@pytest.mark.parametrize(
    ("stages", "sections"),
    [
        ("data", "features repeat absent"),
        ("data model", "accuracy roc confusion features training repeat absent"),
        (
            "data model sensitivity allocation",
            "accuracy roc confusion features sensitivity bits pareto training repeat "
            "absent",
        ),
    ],
)
def test_absent_stages_are_listed(
    flow: dict[str, Path], stages: str, sections: str
) -> None:
    content = gather({name: flow[name] for name in stages.split()})
    names = page.draw_figures(content)
    html = page.render(content, dict.fromkeys(names, b""))
    parsed = _Page(html)
    found = [name for name in parsed.ids if "-" not in name]
    assert found == ["summary", *sections.split()]
    assert "Nothing is proved about firmware here" in text_of(html)
    listed = text_of(html).partition("This page says nothing about:")[2]
    assert "csim : Prove that every rung of the ladder gives equal integers." in listed


def test_titles_are_escaped(flow: dict[str, Path]) -> None:
    content = gather({"data": flow["data"]}, title="<script>&")
    html = page.render(content, dict.fromkeys(page.draw_figures(content), b""))
    assert "<title>&lt;script&gt;&amp;</title>" in html
    assert "<script>" not in html


def test_figures_repeat_to_the_byte(
    content: Content, pictures: dict[str, bytes]
) -> None:
    assert draw(content) == pictures
