"""Where the following of one kind stands: what is asked next, and what an answer means for it."""

from __future__ import annotations

from netpol.source.kube.requests import Query

PAGE_LIMIT = 500


class Cursor:
    """A list, page by page, and then the watch from its version on.

    A list is asked for without a version, and so is consistent. Versions are compared only to
    find a server that went back, one restored from a backup or restarted with nothing: a watch
    from a version that it has yet to reach would be silent for as long.
    """

    def __init__(self, page_limit: int = PAGE_LIMIT) -> None:
        self._page_limit = page_limit
        self._version = ""
        self._list_version = ""
        self._following = ""
        self._in_one = False
        self._stumbled_at = ""
        self._stumbles = 0

    @property
    def follows(self) -> bool:
        """True once a list is complete: the watch can begin, or go on."""
        return bool(self._version)

    def list_query(self) -> Query:
        """What the next page of the list is asked for with."""
        if self._in_one:
            return ()
        limit = ("limit", str(self._page_limit))
        return (limit, ("continue", self._following)) if self._following else (limit,)

    def watch_query(self, seconds: int) -> Query:
        """What the watch is asked for with; the server ends it after `seconds`.

        Never sendInitialEvents: servers before 1.27 ignore it, and the end of the initial events would never come.
        """
        return (
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version),
            ("timeoutSeconds", str(seconds)),
        )

    def take_page(self, version: str, following: str) -> bool:
        """True where the list is complete with this page; `follows` from here on."""
        # Every page tells the first one's version; where one does not, only the first is sure to miss nothing.
        self._list_version = self._list_version or version
        self._following = "" if self._in_one else following
        if self._following:
            return False
        self._version = self._list_version
        self._begin_list()
        self._in_one = False
        return True

    def take_version(self, version: str, *, may_be_behind: bool = False) -> bool:
        """The watch goes on from the version of this event; False where it lies behind, and a list is needed.

        An event that deletes carries the deleted object's own version on old servers, and so `may_be_behind`.
        """
        if not is_behind(version, self._version):
            self._version = version
            return True
        if not may_be_behind:
            self.expire()
        return may_be_behind

    def take_server_version(self, version: str) -> None:
        """The server is at this version; a list is needed where it went back behind what was seen of it."""
        if is_behind(version, self._version):
            self.expire()

    def expire(self) -> None:
        """410 Gone: nothing can go on from here, a list is needed.

        Where that happens between two pages the next list comes in one, for the same could happen to it.
        """
        self._in_one = bool(self._following)
        self._version = ""
        self._stumbles = 0
        self._begin_list()

    def stumble(self, most: int) -> None:
        """The watch failed where it stands; a list is needed where it has done so `most` times and came no further."""
        if self._stumbled_at != self._version:
            self._stumbles = 0
        self._stumbled_at = self._version
        self._stumbles += 1
        if self._stumbles >= most:
            self.expire()

    def _begin_list(self) -> None:
        self._list_version = ""
        self._following = ""


def is_behind(version: str, other: str) -> bool:
    """True where both are numbers, as all API servers have them, and the first is the smaller one.

    >>> is_behind("9", "10"), is_behind("10", "9"), is_behind("a", "b")
    (True, False, False)
    """
    return version.isdecimal() and other.isdecimal() and int(version) < int(other)
