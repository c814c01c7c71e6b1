"""Merkle trees as in RFC 6962: roots, inclusion proofs and consistency proofs over leaf hashes.

Leaves are hashed with a 0x00 in front and nodes with 0x01, so that neither passes for the other.
Proofs are checked by the algorithms of RFC 9162, section 2.1.
"""

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
LEAF_PREFIX = b"\x00"
NODE_PREFIX = b"\x01"
EMPTY_ROOT = hashlib.sha256(b"").digest()


def hash_leaf(data: bytes) -> bytes:
    """Return the hash of one leaf's data."""
    return hashlib.sha256(LEAF_PREFIX + data).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node above two others."""
    return hashlib.sha256(NODE_PREFIX + left + right).digest()


class Frontier:
    """What is needed to go on with a tree: one hash for each full subtree, largest first.

    It grows by a leaf at a time and is as long as the size has ones in binary, so that a tree of
    millions of leaves is kept, and continued, in a line of text.
    """

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        """Take up a tree of that size.

        :raises ValueError: when the peaks are not those of a tree of that size.
        """
        self.size = size
        self.peaks = list(peaks)
        if len(self.peaks) != size.bit_count() or any(len(p) != HASH_BYTES for p in self.peaks):
            raise ValueError(f"{len(self.peaks)} peaks do not make a tree of {size} leaves")

    def extend(self, leaf_hashes: Sequence[bytes]) -> None:
        """Add leaves, level by level: a million of them take about a second."""
        sha256, prefix = hashlib.sha256, NODE_PREFIX
        nodes, rest, size = list(leaf_hashes), self.size, self.size + len(leaf_hashes)
        left_over: list[bytes] = []
        while nodes:
            if rest & 1:
                nodes.insert(0, self.peaks.pop())
            if len(nodes) & 1:
                left_over.append(nodes.pop())
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            nodes = [sha256(prefix + left + right).digest() for left, right in pairs]
            rest >>= 1
        self.peaks += left_over[::-1]
        self.size = size

    def measure_root(self) -> bytes:
        """Return the root of the tree as it stands."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = hash_node(peak, root)
        return root

    def write(self) -> str:
        """Return the peaks as text, for `read`."""
        return " ".join(peak.hex() for peak in self.peaks)

    @classmethod
    def read(cls, size: int, text: str) -> "Frontier":
        """Return the frontier that `write` wrote for a tree of that size.

        :raises ValueError: when the text is of no such tree.
        """
        return cls(size, [bytes.fromhex(peak) for peak in text.split()])


class Tree:
    """A whole tree over leaf hashes, kept to give out any number of proofs."""

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        """Hash every full subtree once."""
        self.size = len(leaf_hashes)
        self._levels = [list(leaf_hashes)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            pairs = range(0, len(below) - 1, 2)
            self._levels.append([hash_node(below[i], below[i + 1]) for i in pairs])

    def measure_root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` leaves; of all of them without a size."""
        size = self.size if size is None else size
        return self._hash_range(0, size) if size else EMPTY_ROOT

    def prove_inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the path that proves leaf `index` (from 0) to be in the tree of `size` leaves.

        :raises IndexError: when that tree has no such leaf.
        """
        size = self.size if size is None else size
        if not 0 <= index < size <= self.size:
            raise IndexError(f"leaf {index} of {size}")
        path: list[bytes] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._hash_range(middle, high))
                high = middle
            else:
                path.append(self._hash_range(low, middle))
                low = middle
        return path[::-1]

    def prove_consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Return the proof that the first `old_size` leaves are still the same ones.

        :raises IndexError: when the sizes are not those of two trees, the older one first.
        """
        size = self.size if size is None else size
        if not 0 < old_size <= size <= self.size:
            raise IndexError(f"{old_size} leaves of {size}")
        path: list[bytes] = []
        low, high = 0, size
        is_known = True  # whether the subtree in hand is the whole old tree, which they have
        while old_size != high:
            middle = low + _split(high - low)
            if old_size <= middle:
                path.append(self._hash_range(middle, high))
                high = middle
            else:
                path.append(self._hash_range(low, middle))
                low, is_known = middle, False
        if not is_known:
            path.append(self._hash_range(low, high))
        return path[::-1]

    def _hash_range(self, low: int, high: int) -> bytes:
        """Return the root over leaves low to high; full subtrees are looked up."""
        count = high - low
        level = count.bit_length() - 1
        if count == 1 << level and low % count == 0:
            return self._levels[level][low >> level]
        middle = low + _split(count)
        return hash_node(self._hash_range(low, middle), self._hash_range(middle, high))


def is_included(
    *, leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Return whether the path proves that the leaf stands at `index` (from 0) under the root."""
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, leaf_hash
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = hash_node(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = hash_node(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def is_consistent(
    *, old_size: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]
) -> bool:
    """Return whether the path proves that the newer tree begins with the whole older one."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not path and old_root == root
    nodes = list(path)
    if old_size & (old_size - 1) == 0:
        nodes.insert(0, old_root)
    if not nodes:
        return False
    at, last = old_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = hash_node(node, old), hash_node(node, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = hash_node(new, node)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
