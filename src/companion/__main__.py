"""The command line. Nothing heavy is imported before a command needs it, so ``--help`` answers at once."""

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click

from twofold import __version__, command

__all__ = ["main"]


_ERRORS = (ValueError, FileNotFoundError, RuntimeError, OSError)


def _plainly(command: Callable) -> Callable:
    """Errors that we raise with an explanation reach a reader as one line, not as a traceback."""

    @wraps(command)
    def wrapped(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except _ERRORS as error:
            raise click.ClickException(str(error)) from error

    return wrapped


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Twofold sparsity: re-run a chapter, repeat a run of the study, fetch the images; masks and reports."""


def _of_the_library(name: str, told: str) -> click.Command:
    """A command that the bare library has too: its words go there unread, its help among them."""

    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def hand_over(words: tuple[str, ...]) -> None:
        command.main([name, *words])

    unread = {"ignore_unknown_options": True, "help_option_names": []}
    return click.command(name, help=told, context_settings=unread)(hand_over)


for _name, (_told, *_) in command.COMMANDS.items():
    main.add_command(_of_the_library(_name, _told))


def _with_values(context: click.Context, option: click.Parameter, pairs: tuple) -> tuple:
    """A name without a value would swallow the option that follows it."""
    for name, value in pairs:
        for word in (name, value):
            if re.match(r"-(-|[A-Za-z])", word):
                raise click.UsageError(
                    f"-p {name} {value}: -p takes a name and a value, and {word!r} looks like an option; "
                    "text that starts with a minus needs quotes of its own, as in '\"-a\"'",
                    context,
                )
    return pairs


def _tell_of_chapters(chapters: list[Path]) -> str:
    """Names and titles of chapters, and their parameters as the chapters themselves explain them."""
    from companion.book.chapters import chapter_title, parameters_of

    formatter = click.HelpFormatter(max_width=100)
    for notebook in chapters:
        with formatter.section(f"{notebook.stem} ({chapter_title(notebook)})"):
            rows = [(f"{name} = {one.written}", one.meaning) for name, one in parameters_of(notebook).items()]
            formatter.write_dl(rows or [("no parameters", "")])
    return formatter.getvalue().rstrip()


@main.command(add_help_option=False)
@click.argument("chapter", required=False)
@click.option(
    "-p",
    "--parameter",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    callback=_with_values,
    help="One parameter; a list is written '[a, b]'.",
)
@click.option(
    "-y", "--yaml", "texts", multiple=True, metavar="TEXT", help="Parameters as YAML: 'name: [a, b]'."
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Parameters from a YAML file; -y wins over it, -p over both.",
)
@click.option(
    "-o",
    "--output",
    default="out",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the notebook and its page.",
)
@click.option(
    "-h", "--help", "told", is_flag=True, help="Show this message, and the parameters of CHAPTER or of all."
)
@click.pass_context
@_plainly
def run(
    context: click.Context,
    chapter: str | None,
    pairs: tuple,
    texts: tuple[str, ...],
    files: tuple[Path, ...],
    output: Path,
    told: bool,
) -> None:
    """Run CHAPTER (4, 04-training or training) with your own parameters.

    Names and values are checked before anything runs; `twofold run CHAPTER --help` lists them.
    """
    from companion.book.chapters import build_page, chapter_path, chapters, execute_chapter

    if told:
        of_chapters = _tell_of_chapters([chapter_path(chapter)] if chapter else chapters())
        click.echo(f"{context.get_help()}\n\n{of_chapters}")
        return
    if chapter is None:
        raise click.UsageError("Missing argument 'CHAPTER'.", context)
    from companion.files import parse_yaml, read_yaml

    values: dict[str, object] = {}
    for file in files:
        values |= read_yaml(file)
    for text in texts:
        given = parse_yaml(text, f"-y {text!r}")
        if not isinstance(given, dict):
            raise ValueError(f"-y is {text!r}; it must be names with values, such as 'name: [a, b]'")
        values |= {str(name): value for name, value in given.items()}
    values |= {name: parse_yaml(text, f"{name} {text!r}") for name, text in pairs}
    notebook = execute_chapter(chapter_path(chapter), values, output)
    click.echo(f"notebook: {notebook}\npage: {build_page(notebook)}")


@main.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--device", default="cpu", show_default=True, help="A torch device: cpu, cuda, cuda:1.")
@click.option("--quiet", is_flag=True, help="No progress bar, for log files.")
@_plainly
def train(runs: tuple[str, ...], device: str, quiet: bool) -> None:
    """Carry out each RUN, a name of the plan or a YAML file; a killed run goes on where it stopped."""
    import torch

    from companion.paths import results_dir
    from companion.study.plan import chosen
    from companion.study.run import execute

    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {device!r}, but torch sees no CUDA device; take cpu")
    for config in [chosen(word) for word in runs]:
        there = (results_dir() / config.run).exists()
        folder = execute(config, device=device, progress_bar=not quiet)
        click.echo(f"{config.run}: {folder}{' is finished already and left as it is' if there else ''}")


@main.command()
@_plainly
def collect() -> None:
    """Make the results tables, and README's table and figure, anew from the folders of all finished runs."""
    from companion.study.results import STUDY_START
    from companion.study.results import collect as collect_runs

    frame = collect_runs()
    columns = ["run", "method", "sparsity", "strength", "epochs", "test_accuracy", "zero_codes", "minutes"]
    click.echo(frame[columns].to_string(index=False))
    if STUDY_START in set(frame.init[frame.method == "dense-8bit"]):
        from companion.book.headline import readme_table, save_headline

        click.echo(f"\nThe table of README.md:\n{readme_table()}")
        for path in save_headline():
            click.echo(f"The figure of README.md: {path}")


@main.command()
@_plainly
def machines() -> None:
    """Price all finished runs on every machine with every device table: data/results/machines.csv, anew."""
    from companion.study.machines import collect_machines

    frame = collect_machines()
    columns = ["run", "machine", "table", "accuracy", "total_j", "cycles", "gain", "edp_gain"]
    click.echo(frame[columns].to_string(index=False))


@main.command()
@click.option("--check", is_flag=True, help="Only say what is there; download nothing.")
@_plainly
def data(check: bool) -> None:
    """Download CIFAR-10 through torchvision (170 MB) and verify every file."""
    from companion.paths import data_root
    from companion.study.images import cifar10_status

    root = data_root()
    status = cifar10_status(root)
    if not status.whole.all() and not check:
        from torchvision.datasets import CIFAR10

        CIFAR10(root, download=True)
        status = cifar10_status(root)
    click.echo(f"CIFAR-10 under {root}:\n{status.to_string(index=False)}")
    if not status.whole.all():
        raise ValueError("CIFAR-10 is not whole; run `twofold data` without --check to download it")
