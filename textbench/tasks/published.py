"""Where the published corpora are: pinned addresses, checksums, local layout. No torch.

EMNLP 2017 WMT News and Image COCO as pclucas14/GansFallingShort (Caccia et al., "Language GANs
Falling Short") distributes them, cleanly tokenised, in one consistent split. The news is WMT news
crawl (research use: do not redistribute), the captions are CC BY 4.0. Its COCO validation file is a
copy of the test file and therefore not used.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from textbench.contracts.errors import UserError
from textbench.tasks.download import Remote, cache, fetch, local_data

_GFS = (
    "https://raw.githubusercontent.com/pclucas14/GansFallingShort/"
    "e6be915b1aed7843d83f7d543bfb8de9f3d3461f/real_data_experiments/data"
)


class Published(NamedTuple):
    """A corpus as it was published."""

    task: str
    folder: str
    """Below TEXTBENCH_DATA and the cache: FOLDER/train.txt, FOLDER/test.txt, ..."""
    what: str
    licence: str
    files: dict[str, Remote]
    """By split."""
    lines: dict[str, int]
    """How many sentences each file has."""


class Found(NamedTuple):
    """The files of a corpus on this machine."""

    files: dict[str, Path]
    unpublished: frozenset[str]
    """Splits whose file is not the published one."""


def _files(folder: str, path: str, what: str, **checksums: str) -> dict[str, Remote]:
    """Return the files of a corpus by split, each known by its sha256 or, shorter, its git blob."""
    return {
        split: Remote(
            name=f"{folder}/{split}.txt",
            url=f"{_GFS}/{path}/{split}.txt",
            what=f"the {split} file of {what}",
            **{"sha256" if len(checksum) == 64 else "git_blob": checksum},
        )
        for split, checksum in checksums.items()
    }


_NEWS = "EMNLP 2017 WMT News"
_COCO = "Image COCO"

EMNLP_NEWS = Published(
    task="emnlp_news",
    folder="emnlp",
    what=_NEWS,
    licence="WMT news crawl, for research; do not redistribute",
    files=_files(
        *("emnlp", "news", _NEWS),
        train="66abc879b4d72f13de02183b71cffb8f3e83b5bd",
        valid="e66a6fdd1f6cb15cb8f851051e5c49062270e0de1e69213289ce50b88a1d7281",
        test="e1ba37a752bc8fba6d9743898b30bb36119cc665cd35b229060bf5f75a94837d",
    ),
    lines={"train": 268_586, "valid": 10_000, "test": 10_000},
)

IMAGE_COCO = Published(
    task="image_coco",
    folder="coco",
    what=_COCO,
    licence="CC BY 4.0",
    files=_files(
        *("coco", "coco", _COCO),
        train="81c8d799b6bb3f9c64e1a3dc747e9fb3057c236a4501d1a0e0447f5bc898e314",
        test="9adeac90babb053b5724f60cabc53877ded4dc07fc0af29d1681bafacc06b0f1",
    ),
    lines={"train": 10_000, "test": 10_000},
)

CORPORA = {corpus.task: corpus for corpus in (EMNLP_NEWS, IMAGE_COCO)}


def local_folder(corpus: Published, given: str = "") -> Path | None:
    """Return the folder of local copies: below ``given``, or below TEXTBENCH_DATA.

    Raises:
        UserError: ``given`` does not hold the corpus.
    """
    if given:
        folder = Path(given).expanduser() / corpus.folder
        if not folder.is_dir():
            raise UserError(
                f"{corpus.task}.dir: {folder} is not a folder; expected {corpus.folder}/train.txt "
                f"and so on below {given}"
            )
        return folder
    root = local_data()
    if root and (root / corpus.folder).is_dir():
        return root / corpus.folder
    return None


def find(corpus: Published, given: str = "") -> Found:
    """Return a corpus's files: local copies, or else the published ones, downloaded once.

    Files of two sources are never mixed: another source's validation sentences may well be this
    one's training sentences. A local copy may differ from the published file; it is then named.

    Args:
        corpus: Which.
        given: A folder that holds ``FOLDER/train.txt`` and so on; TEXTBENCH_DATA by default.

    Raises:
        UserError: A file is missing, or cannot be downloaded.
    """
    folder = local_folder(corpus, given)
    if folder is None:
        return Found({split: fetch(r) for split, r in corpus.files.items()}, frozenset())
    files = {split: folder / f"{split}.txt" for split in corpus.files}
    for path in files.values():
        if not path.is_file():
            raise UserError(f"{corpus.task}: {path} is missing, although {folder} exists")
    unpublished = {s for s, path in files.items() if corpus.files[s].mismatch(path.read_bytes())}
    validation = folder / "valid.txt"
    if "valid" not in files and validation.is_file():
        files["valid"] = validation
        unpublished.add("valid")
    return Found(files, frozenset(unpublished))


def cached(corpus: Published) -> bool:
    """Tell whether every file of a corpus has been downloaded."""
    return all((cache() / remote.name).exists() for remote in corpus.files.values())
