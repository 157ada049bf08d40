"""`textbench data`: the published corpora, where they are, and how to get them."""

from __future__ import annotations

from pathlib import Path

import click

from textbench.contracts.errors import UnknownNameError, UserError
from textbench.tasks import download
from textbench.tasks.published import CORPORA, Published, cached, find, local_folder

EPILOG = """\b
Examples:
  textbench data list
  textbench data fetch emnlp_news
  textbench data path image_coco

\b
Local copies: set TEXTBENCH_DATA to a folder with emnlp/train.txt, emnlp/valid.txt,
emnlp/test.txt, coco/train.txt and so on, or say --set emnlp_news.dir=FOLDER.
Downloads go to the user's cache; TEXTBENCH_CACHE moves it."""


@click.group(epilog=EPILOG)
def command() -> None:
    """List, download and locate the published corpora."""


@command.command("list")
def list_corpora() -> None:
    """Say of each corpus what it is, and where it is on this machine."""
    for name, corpus in CORPORA.items():
        sizes = " / ".join(f"{n:,}" for n in corpus.lines.values())
        click.secho(name, bold=True, nl=False)
        click.echo(f"  {corpus.what}: {sizes} sentences ({' / '.join(corpus.lines)})")
        click.echo(f"  licence: {corpus.licence}")
        click.echo(f"  here: {_whereabouts(corpus)}")


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def fetch(names: tuple[str, ...]) -> None:
    """Download corpora into the cache, checked; what is there is not downloaded again."""
    corpora = [_corpus(name) for name in names]  # all are known before the first is downloaded
    for corpus in corpora:
        for remote in corpus.files.values():
            click.echo(download.fetch(remote))


@command.command()
@click.argument("name", metavar="NAME")
def path(name: str) -> None:
    """Print the folder that holds a corpus; fails where it has to be downloaded first."""
    corpus = _corpus(name)
    folder = local_folder(corpus)
    if folder is None and not cached(corpus):
        raise UserError(f"{name} is not on this machine; get it with `textbench data fetch {name}`")
    click.echo(folder or _cache(corpus))


def _corpus(name: str) -> Published:
    if name not in CORPORA:
        raise UnknownNameError("corpus", name, CORPORA, "`textbench data list` shows all")
    return CORPORA[name]


def _cache(corpus: Published) -> Path:
    return download.cache() / corpus.folder


def _whereabouts(corpus: Published) -> str:
    folder = local_folder(corpus)
    if folder is None:
        return str(_cache(corpus)) if cached(corpus) else "no; `textbench data fetch` downloads it"
    unpublished = find(corpus).unpublished
    different = f" ({', '.join(sorted(unpublished))} not the published file)" if unpublished else ""
    return f"{folder}{different}"
