"""The files that can be deployed: below the DAGs folder, or in a DAG bundle that is a local folder."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterator, List, Optional, Tuple

from native_api.adapters.compat import airflow
from native_api.adapters.compat.interface.bundles import Bundle, has_files
from native_api.adapters.server_files import complaint, folder_below
from native_api.errors import DagFileMissing, DagFilesMissing, DagsFolderReadOnly, Invalid, OutsideFolders, Refused
from native_api.host import hostname

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: Suffixes of files that Airflow loads DAGs from: modules, and zip archives of modules.
SUFFIXES = (".py", ".zip")


@dataclass(frozen=True)
class Target:
    """A file that can be deployed; *file* is its path relative to the bundle."""

    bundle: Bundle
    file: str

    @property
    def path(self) -> str:
        """The absolute path."""
        return os.path.join(self.bundle.path, self.file)

    @property
    def folders(self) -> List[str]:
        """The parent folders of the file, relative to the bundle."""
        steps = self.file.split("/")[:-1]
        return ["/".join(steps[: number + 1]) for number in range(len(steps))]

    @contextmanager
    def folder(self) -> Iterator[Tuple[int, str]]:
        """Yield the descriptor of the file's folder, and the file name."""
        with self._folder_of(self.file) as found:
            yield found

    @contextmanager
    def _folder_of(self, path: str) -> Iterator[Tuple[int, str]]:
        with _our_errors(self.file), folder_below(self.bundle.path, path, OutsideFolders) as found:
            yield found

    def make_folders(self, folders: List[str]) -> None:
        """Create parent folders of the file, relative to the bundle, the outermost first."""
        for path in folders:
            with self._folder_of(path) as (folder, name), suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)

    def remove_folders(self, folders: List[str]) -> None:
        """Delete empty folders."""
        for path in reversed(folders):
            with suppress(FileNotFoundError, OutsideFolders, Refused), self._folder_of(path) as (folder, name):
                os.rmdir(name, dir_fd=folder)

    def mode(self) -> Optional[os.stat_result]:
        """
        Return the stat of the existing file, None if there is none.

        :raises OutsideFolders: it, or one of its parent folders, is a symbolic link.
        :raises Refused: it is not a file.
        """
        with suppress(FileNotFoundError), self.folder() as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                raise OutsideFolders(self.file)
            if not stat.S_ISREG(found.st_mode):
                raise Refused(f"'{self.file}' is not a file.")
            return found
        return None


def target(path: str, bundle: Optional[str] = None, field: str = "path") -> Target:
    """
    Return the file with that path in the bundle.

    :param field: the name of the argument, for errors.
    :raises OutsideFolders: it is outside of the bundle.
    :raises Invalid: it is not a valid name of a DAG file.
    :raises Refused: the bundle is not a local folder, or part of an installed package.
    """
    if os.path.isabs(path) or ".." in path.split("/"):
        raise OutsideFolders(path)
    reason = _what_is_wrong(path)
    if reason:
        raise Invalid({field: [reason]})
    found = airflow().dag_files.bundle(bundle)
    airflow().dag_files.require_local(found)
    named = Target(found, path)
    if not os.path.isdir(found.path):
        raise Refused(
            f"The folder {found.path} is not on the host '{hostname()}': mount the DAG files there, or call a "
            "web server that has them."
        )
    named.mode()
    return named


def require_writable(target: Target) -> None:
    """Raise :class:`DagsFolderReadOnly` where this host may not write to the file's folder."""
    folder = os.path.dirname(target.path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DagsFolderReadOnly(folder, target.bundle.name, hostname())


def require_dags_folder(target: Target, session: Session) -> None:
    """Raise :class:`DagFilesMissing` where the folder has no files and active DAGs: those are on another host."""
    if has_files(target.bundle.path):
        return
    in_use = airflow().dag_files.dags_in_use(target.bundle, session)
    if in_use:
        count = sum(map(len, in_use.values()))
        raise DagFilesMissing(target.bundle.path, target.bundle.name, hostname(), count)


def require_no_dags(target: Target, session: Session) -> None:
    """Raise :class:`DagFileMissing` where a file that is not here has active DAGs: it is on another host."""
    active = {} if target.mode() else airflow().dag_files.fingerprints(target.path, target.bundle, session)
    if active:
        raise DagFileMissing(min(active), target.path, target.bundle.name, hostname())


def _what_is_wrong(path: str) -> Optional[str]:
    try:
        wrong = complaint(path)
    except UnicodeEncodeError:
        return "Not valid text: it contains an unpaired surrogate."
    if wrong:
        return wrong
    if not path.endswith(SUFFIXES):
        return f"Must end in {' or '.join(SUFFIXES)}."
    return "Must not be below a folder __pycache__." if "__pycache__" in path.split("/") else None


@contextmanager
def _our_errors(file: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (NotADirectoryError, IsADirectoryError) as exc:
        raise OutsideFolders(file) from exc
    except OSError as exc:
        raise Refused(f"The file '{file}' cannot be written: {os.strerror(exc.errno or 0)}.") from exc
