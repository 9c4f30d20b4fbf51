"""Files that are written whole or not at all, and read only where they are what they claim to be.

Whatever is read may be cut short, damaged, foreign or hostile. Each reader here refuses such a file with a
``ValueError`` that names it; none runs code, and none hands on a part for the whole.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from twofold._files import _brief

__all__ = ["held", "parse_yaml", "read_json", "read_yaml"]


_LONGEST_YAML = 100_000


@contextlib.contextmanager
def held(lock: Path, held_by_another: str) -> Iterator[None]:
    """Within the context, ``lock`` belongs to this process; the file itself stays, empty.

    Raises
    ------
    RuntimeError
        Another process has it; the message is ``held_by_another``.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    own = FileLock(lock)
    try:
        own.acquire(timeout=0)
    except Timeout:
        raise RuntimeError(held_by_another) from None
    try:
        yield
    finally:
        own.release()


# ---- text ----


def read_json(path: Path) -> dict:
    """The object that a JSON file holds, or a ``ValueError`` that names the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no readable JSON: {_brief(error)}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds {type(value).__name__}, not keys with values")
    return value


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds; as `parse_yaml`, and ``ValueError`` where it is something else."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no readable YAML: {error}") from error
    value = parse_yaml(text, str(path))
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds {type(value).__name__}, not keys with values")
    return {str(name): entry for name, entry in value.items()}


def parse_yaml(text: str, origin: str) -> object:
    """The value of a YAML text, by YAML's safe loader: it knows data and no Python objects.

    Raises
    ------
    ValueError
        No YAML; a key given twice, of which the loader would drop the first; an alias, since a few lines of
        them stand for gigabytes; or more than 100,000 characters. The message begins with ``origin``.
    """
    if len(text) > _LONGEST_YAML:
        raise ValueError(f"{origin} is {len(text)} characters long, allowed are {_LONGEST_YAML}")
    try:
        return yaml.load(text, _PlainLoader)  # a subclass of the safe loader
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"{origin} is no readable YAML: {_brief(error)}") from error


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, f"alias *{event.anchor}", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} twice", node.start_mark)
        return super().construct_mapping(node, deep)
