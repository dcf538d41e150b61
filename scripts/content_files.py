"""Reads a folder of content files, and says precisely what is wrong with them: file, line, field, and what is right."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from actors.content import Content, dangling

FILES = ("actions", "boards", "currencies", "fraud", "limits")
"""Each is `<name>.yaml` in the folder, and the part of that name in the content."""
FILE_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong. `line` counts from 1; 0 stands for the whole file."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class ContentFaults(Exception):
    """Everything that is wrong with a folder of content."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = sorted(set(faults))
        super().__init__("\n".join(map(str, self.faults)))


def load_content(folder: Path, version: int = 0, note: str | None = None) -> Content:
    """The content of the folder; raises ContentFaults with all faults at once."""
    if not folder.is_dir():
        raise ContentFaults([Fault(str(folder), 0, "", "there is no such folder")])
    faults = [
        Fault(path.name, 0, "", f"is no content file; there are {', '.join(f'{name}.yaml' for name in FILES)}")
        for path in [*folder.glob("*.yaml"), *folder.glob("*.yml")]
        if path.stem not in FILES or path.suffix != ".yaml"
    ]
    places = Places()
    parts: dict[str, Any] = {}
    for name in FILES:
        path = folder / f"{name}.yaml"
        if path.exists():
            parts[name], found = _read(path, name, places)
            faults += found
    readable = {name: part for name, part in parts.items() if part is not None}
    try:
        content = Content.model_validate({"version": version, "note": note, **readable}, context={"lenient": True})
    except ValidationError as error:
        faults += [_fault(places, item["loc"], item["msg"]) for item in error.errors()]
        raise ContentFaults(faults) from None
    faults += [_fault(places, tuple(place.split(".")), message) for place, message in dangling(content)]
    if faults:
        raise ContentFaults(faults)
    return content


class Places:
    """Where in which file each field stands."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, ...], tuple[str, int]] = {}

    def note(self, path: tuple[str, ...], file: str, line: int) -> None:
        self._lines[path] = (file, line)

    def find(self, path: tuple[str, ...]) -> tuple[str, int, str]:
        """File, line and field of the path, or of the nearest thing around it that has a place."""
        known = tuple(part for index, part in enumerate(path) if path[: index + 1] in self._lines or index == 0)
        for end in range(len(known), 0, -1):
            if known[:end] in self._lines:
                file, line = self._lines[known[:end]]
                return file, line, ".".join(path[1:])
        return f"{path[0] if path else 'content'}.yaml", 0, ".".join(path[1:])


def _fault(places: Places, location: tuple[Any, ...], message: str) -> Fault:
    file, line, field = places.find(tuple(map(str, location)))
    return Fault(file, line, field, message)


def _read(path: Path, name: str, places: Places) -> tuple[Any, list[Fault]]:
    """The file's data (None when it cannot be read), with the line of each field noted."""
    if path.stat().st_size > FILE_BYTES_MAX:
        return None, [Fault(path.name, 0, "", f"is larger than {FILE_BYTES_MAX} bytes")]
    try:
        text = path.read_text("utf-8")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except UnicodeDecodeError as error:
        return None, [Fault(path.name, 0, "", f"is not UTF-8 (byte {error.start})")]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        return None, [Fault(path.name, line, "", f"is no YAML: {error.problem}")]
    except yaml.YAMLError as error:
        return None, [Fault(path.name, 0, "", f"is no YAML: {error}")]
    if node is None:
        return {}, []
    if not isinstance(node, MappingNode):
        return None, [Fault(path.name, node.start_mark.line + 1, "", "must be a map of names")]
    faults: list[Fault] = []
    data = _data(loader, node, (name,), path.name, places, faults)
    return data, faults


def _data(
    loader: yaml.SafeLoader, node: Node, path: tuple[str, ...], file: str, places: Places, faults: list[Fault]
) -> Any:
    places.note(path, file, node.start_mark.line + 1)
    if isinstance(node, SequenceNode):
        return [_data(loader, item, (*path, str(index)), file, places, faults) for index, item in enumerate(node.value)]
    if not isinstance(node, MappingNode):
        return _scalar(loader, node)
    data: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, ScalarNode) else None
        line = key_node.start_mark.line + 1
        if key is None:
            faults.append(Fault(file, line, ".".join(path[1:]), "a name must be a single word"))
        elif key in data:
            faults.append(Fault(file, line, ".".join((*path[1:], key)), "stands here twice"))
        else:
            data[key] = _data(loader, value_node, (*path, key), file, places, faults)
            places.note((*path, key), file, line)
    return data


def _scalar(loader: yaml.SafeLoader, node: Node) -> Any:
    if node.tag == "tag:yaml.org,2002:timestamp":
        return node.value
    return loader.construct_object(node)
