"""Products: a few axes in a config file are the rows that one would have written by hand."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textbench.contracts.errors import UserError
from textbench.contracts.spec import Spec
from textbench.plan import product
from textbench.plan.resolve import Request, expand

RATES = "name = 'r{g_lr}'\ng_lr = [1e-2, 1e-3]\n"


def run(tmp_path: Path, text: str, **given: Any) -> list[Spec]:
    """Expand a config file on the tiny task under `ci`."""
    config = tmp_path / "mine.toml"
    config.write_text(text)
    return expand(Request(**{"config": config, "task": "synthetic-tiny", "preset": "ci", **given}))


def changed(tmp_path: Path, text: str) -> dict[str, dict[str, Any]]:
    """Return in which options each row differs from `cot`."""
    (plain,) = run(tmp_path, 'algos = "cot"')
    return {
        spec.label: {k: v for k, v in spec.config.items() if v != plain.config[k]}
        for spec in run(tmp_path, text)
    }


def test_a_product_is_what_one_would_write_by_hand(tmp_path: Path) -> None:
    by_hand = """
algos = ["cot:a1e-2-1x1", "cot:a1e-2-1x2", "cot:a5e-3-1x1", "cot:a5e-3-1x2"]
[variants.cot.a1e-2-1x1]
g_lr = 1e-2
m_lr = 1e-2
g_steps = 1
m_steps = 1
[variants.cot.a1e-2-1x2]
g_lr = 1e-2
m_lr = 1e-2
g_steps = 1
m_steps = 2
[variants.cot.a5e-3-1x1]
g_lr = 5e-3
m_lr = 5e-3
g_steps = 1
m_steps = 1
[variants.cot.a5e-3-1x2]
g_lr = 5e-3
m_lr = 5e-3
g_steps = 1
m_steps = 2
"""
    stated = """
[grid.cot]
name = "a{g_lr}-{g_steps}x{m_steps}"
"g_lr, m_lr" = [1e-2, 5e-3]
"g_steps, m_steps" = [[1, 1], [1, 2]]
"""
    rows = run(tmp_path, by_hand, seeds="0:2")
    assert run(tmp_path, stated, seeds="0:2") == rows
    assert len({spec.hash for spec in rows}) == 8
    assert all(spec.overrides == {} for spec in rows)


def test_rows_of_a_product_follow_those_of_algos(tmp_path: Path) -> None:
    def labels(listed: str, **given: Any) -> list[str]:
        return [spec.label for spec in run(tmp_path, f"{listed}[grid.cot]\n{RATES}", **given)]

    assert labels("") == ["cot:r1e-2", "cot:r1e-3"]
    assert labels('algos = "mle, cot"\n') == ["mle", "cot", "cot:r1e-2", "cot:r1e-3"]
    assert labels('algos = ["cot:r1e-3"]\n') == ["cot:r1e-3", "cot:r1e-2"]
    assert labels("", algos="cot:r1e-3,mle") == ["cot:r1e-3", "mle"]


def test_several_products_and_variants_meet_in_one_file(tmp_path: Path) -> None:
    text = """
algos = ["cot:own"]
[variants.cot.own]
g_lr = 0.5
[[grid.cot]]
name = "clip{clip}"
clip = [0.25, 1]
[[grid.cot]]
name = "{m_batch}{m_steps}"
m_batch = ["half"]
m_steps = [2, 3]
[grid.mle]
name = "early{patience}"
patience = [2]
"""
    rows = [spec.label for spec in run(tmp_path, text)]
    assert rows[:3] == ["cot:own", "cot:clip25e-2", "cot:clip1"]
    assert rows[3:] == ["cot:half2", "cot:half3", "mle:early2"]
    assert changed(tmp_path, text.partition("[grid.mle]")[0]) == {
        "cot:own": {"g_lr": 0.5},
        "cot:clip25e-2": {"clip": 0.25},
        "cot:clip1": {"clip": 1.0},
        "cot:half2": {"m_batch": "half", "m_steps": 2},
        "cot:half3": {"m_batch": "half", "m_steps": 3},
    }


def test_an_option_whose_values_are_lists(tmp_path: Path) -> None:
    """Alone it has whole lists as values; with others, one entry for each."""
    assert product.rows({"seqgan": {"name": "a", "d_filters": [[[2, 10]]]}}, "f") == {
        "seqgan": {"a": {"d_filters": [[2, 10]]}}
    }
    table = {"name": "d{d_scale}", "d_filters, d_scale": [[[[2, 10]], 0.5], [[[3, 10]], 1.0]]}
    assert product.rows({"seqgan": table}, "f")["seqgan"] == {
        "d5e-1": {"d_filters": [[2, 10]], "d_scale": 0.5},
        "d1": {"d_filters": [[3, 10]], "d_scale": 1.0},
    }


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    widths=st.lists(st.integers(1, 3), min_size=4, max_size=4),
)
def test_any_product(sizes: list[int], widths: list[int]) -> None:
    """All combinations in order, the first axis slowest, each under a name of its own."""
    axes = {
        ",".join(f"o{i}_{j}" for j in range(widths[i])): [
            [100 * i + 10 * n + j for j in range(widths[i])] if widths[i] > 1 else 100 * i + 10 * n
            for n in range(size)
        ]
        for i, size in enumerate(sizes)
    }
    name = "x" + "".join(f"-{{o{i}_0}}" for i in range(len(sizes)))
    found = product.rows({"cot": {"name": name, **axes}}, "f")["cot"]
    numbers = list(itertools.product(*map(range, sizes)))
    assert list(found.values()) == [
        {f"o{i}_{j}": 100 * i + 10 * n + j for i, n in enumerate(ns) for j in range(widths[i])}
        for ns in numbers
    ]
    assert list(found) == [
        "x" + "".join(f"-{100 * i + 10 * n}" for i, n in enumerate(ns)) for ns in numbers
    ]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_in_a_name_has_no_dot_and_reads_back(value: float) -> None:
    (name,) = product.rows({"cot": {"name": "x{clip}", "clip": [value]}}, "f")["cot"]
    assert re.fullmatch(r"x-?\d+(e-\d+)?", name)
    assert float(Decimal(name[1:])) == value


# -- what cannot be used -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid = 3\n", "'grid' is not a section"),
        ("[grid]\ncot = 3\n", "[grid.cot] must be a table of axes"),
        ("[grid.coot]\nname = 'a'\n", "unknown trainer 'coot'; did you mean 'cot'"),
        ("[grid.cot]\ng_lr = [1.0]\n", '[grid.cot] needs a name for its rows, such as name = "lr'),
        ("[grid.cot]\nname = 3\ng_lr = [1.0]\n", "[grid.cot] needs a name for its rows"),
        ("[grid.cot]\nname = 'a'\n", "[grid.cot] has no axis"),
        ("[grid.cot]\nname = 'a'\ng_lr = 1.0\n", "g_lr must be a list of values (given 1.0)"),
        ("[grid.cot]\nname = 'a'\ng_lr = []\n", "g_lr must be a list of values (given [])"),
        (
            "[grid.cot]\nname = 'a'\n'g_lr,m_lr' = [[1.0]]\n",
            "g_lr,m_lr has [1.0], which is not one value for each of 2 options",
        ),
        (
            "[grid.cot]\nname = 'a{g_lr}'\ng_lr = [1.0]\n'g_lr,m_lr' = [2.0]\n",
            "[grid.cot] has 'g_lr' on two axes",
        ),
        (
            "[grid.cot]\nname = 'a{g_lr}'\n'g_lr, g_lr' = [[1.0, 2.0]]\n",
            "[grid.cot] g_lr, g_lr names an option twice",
        ),
        ("[grid.cot]\nname = 'a{g_rl}'\ng_lr = [1.0]\n", "'a{g_rl}': no axis has 'g_rl'"),
        ("[grid.cot]\nname = 'a{g_lr'\ng_lr = [1.0]\n", "cannot use name = 'a{g_lr': expected '}'"),
        ("[grid.cot]\nname = 'a{}'\ng_lr = [1.0]\n", "no axis has ''"),
        ("[grid.cot]\nname = '{g_lr:.2f}'\ng_lr = [1.0]\n", "only {OPTION} can be filled in"),
        ("[grid.cot]\nname = '{g_lr.real}'\ng_lr = [1.0]\n", "no axis has 'g_lr.real'"),
        ("[grid.cot]\nname = 'a.{g_lr}'\ng_lr = [1.0]\n", "would call a row 'a.1'; a name is"),
        ("[grid.cot]\nname = '{g_lr}'\ng_lr = [[1]]\n", "[1] is neither a number nor a word"),
        ("[grid.cot]\nname = '{g_lr}'\ng_lr = [inf]\n", "inf is neither a number nor a word"),
        ("[grid.cot]\nname = 'a'\ng_lr = [1.0, 2.0]\n", "two rows called 'a'; its name must show"),
        (
            f"[variants.cot.r1e-3]\nclip = 1.0\n[grid.cot]\n{RATES}",
            "[grid.cot] makes the row 'r1e-3', and so does [variants.cot.r1e-3]",
        ),
        (
            f"[grid.cot]\nname = '{{g_steps}}-{{m_steps}}'\ng_steps = {[*range(40)]}\n"
            f"m_steps = {[*range(40)]}\n",
            "[grid.cot] has 1600 rows; at most 1000 are possible",
        ),
        ("[grid.cot]\nname = 'a{g_rl}'\ng_rl = [1.0]\n", "cot:a1.g_rl is not an option; did you"),
        ("[grid.cot]\nname = 'a{clip}'\nclip = [-1]\n", "cot:a-1.clip: Input should be greater"),
        (f"algos = 3\n[grid.cot]\n{RATES}", "algos must be a string or a list"),
        (f"[variants]\ncot = 3\n[grid.cot]\n{RATES}", "'cot' must be a table of variants"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        run(tmp_path, text)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_plugin_is_not_called_like_a_section(tmp_path: Path) -> None:
    plugin = tmp_path / "grid.py"
    plugin.write_text(
        "from textbench.contracts.config import Config\n"
        "from textbench.contracts.trainer import Trainer\n"
        "class Grid(Trainer[Config]):\n    name = 'grid'\n    config_schema = Config\n"
        "    def phases(self): ...\n    def setup(self): ...\n    def step(self, at): ...\n"
    )
    with pytest.raises(UserError, match="the name 'grid' is reserved"):
        run(tmp_path, 'algos = "mle"', plugins=[plugin])
