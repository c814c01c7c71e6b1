"""Merkle trees against a stranger's implementation, and the bytes, notes and signatures beside."""

import itertools
import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from accounts.domain import journal, statement_proof
from accounts.domain.checkpoints import (
    Checkpoint,
    UnreadableNote,
    drop_void,
    get_public_key,
    is_signed,
    read_note,
    sign_checkpoint,
    split_notes,
)
from accounts.domain.merkle import Frontier, Tree, hash_leaf, is_consistent, is_included

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33)


def leaves_of(size):
    return [f"leaf {number}".encode() for number in range(size)]


@pytest.fixture(scope="module")
def stranger():
    tree = InmemoryTree(algorithm="sha256")
    for data in leaves_of(max(SIZES)):
        tree.append_entry(data)
    return tree


def test_roots_and_proofs_are_those_of_another_implementation(stranger):
    tree = Tree([hash_leaf(data) for data in leaves_of(max(SIZES))])
    for size in SIZES:
        assert tree.measure_root(size) == stranger.get_state(size)
        for index in range(size):
            theirs = stranger.prove_inclusion(index + 1, size).path
            assert theirs[1:] == tree.prove_inclusion(index, size)
            assert theirs[0] == hash_leaf(leaves_of(size)[index])


@pytest.mark.parametrize("size", SIZES)
def test_proofs_hold_and_nothing_else_passes(size):
    hashes = [hash_leaf(data) for data in leaves_of(size)]
    tree = Tree(hashes)
    root = tree.measure_root()
    for index in range(size):
        path = tree.prove_inclusion(index)
        facts = {"leaf_hash": hashes[index], "index": index, "size": size, "root": root}
        assert is_included(**facts, path=path)
        other = hash_leaf(b"another")
        for wrong in (
            {"leaf_hash": other},
            {"root": other},
            {"index": size},
            {"index": -1},
            {"index": index ^ 1} if size > 1 else {"index": 1},
        ):
            assert not is_included(**{**facts, **wrong}, path=path), wrong
        for at in range(len(path)):
            assert not is_included(**facts, path=[*path[:at], other, *path[at + 1 :]])
            assert not is_included(**facts, path=path[:at] + path[at + 1 :])
        assert not is_included(**facts, path=[*path, other])


def test_consistency_holds_between_every_two_sizes_and_catches_every_change():
    hashes = [hash_leaf(data) for data in leaves_of(17)]
    tree = Tree(hashes)
    for old, new in itertools.combinations_with_replacement(range(1, 18), 2):
        facts = {
            "old_size": old,
            "size": new,
            "old_root": tree.measure_root(old),
            "root": tree.measure_root(new),
        }
        path = tree.prove_consistency(old, new)
        assert is_consistent(**facts, path=path)
        other = hash_leaf(b"another")
        assert not is_consistent(**{**facts, "old_root": other}, path=path)
        assert not is_consistent(**{**facts, "root": other}, path=path)
        for at in range(len(path)):  # each one is looked at, those in the middle too
            assert not is_consistent(**facts, path=[*path[:at], other, *path[at + 1 :]])
        if old != new:
            assert not is_consistent(**facts, path=path[:-1])
            assert not is_consistent(**facts, path=[*path, other])
            rewritten = Tree([other, *hashes[1:new]])
            wrong = rewritten.prove_consistency(old)
            assert not is_consistent(**{**facts, "root": rewritten.measure_root()}, path=wrong)


@given(st.lists(st.integers(1, 40), max_size=8))
def test_a_frontier_grown_in_any_steps_has_the_root_of_the_whole(steps):
    hashes = [hash_leaf(bytes([number % 256])) for number in range(sum(steps))]
    frontier, done = Frontier(), 0
    for step in steps:
        frontier = Frontier.read(frontier.size, frontier.write())
        frontier.extend(hashes[done : done + step])
        done += step
    assert frontier.measure_root() == Tree(hashes).measure_root()


def test_a_frontier_that_is_none_is_refused():
    for size, text in ((1, ""), (2, "00" * 32 + " " + "00" * 32), (1, "00" * 31), (1, "xy")):
        with pytest.raises(ValueError, match="."):
            Frontier.read(size, text)


# --- Bytes ----------------------------------------------------------------------------------------


def test_fields_cannot_flow_into_each_other():
    prev = b"\0" * 32
    assert journal.hash_entry(12, prev, "3") != journal.hash_entry(1, prev, "23")
    seen = {journal.hash_entry(seq, prev, body) for seq in (1, 2) for body in ("a", "ab", "")}
    assert len(seen) == 6


@given(st.text(), st.text())
def test_what_is_hidden_depends_on_every_letter_and_on_its_own_half_of_the_salt(one, other):
    salt = "a" * 32 + "b" * 32
    try:
        one.encode(), other.encode()
    except UnicodeEncodeError:
        return
    assert (journal.hide_summary(salt, one) == journal.hide_summary(salt, other)) == (one == other)
    assert journal.hide_summary(salt, one) != journal.hide_detail(salt, one)
    assert journal.hide_summary(salt, one) == journal.hide_summary("a" * 32 + "c" * 32, one)


def test_detail_is_one_text_whatever_its_order_and_refuses_what_is_no_json():
    assert journal.write_detail({"b": 1, "a": "é"}) == '{"a":"é","b":1}'
    for wrong in ({"a": float("nan")}, {"a": object()}, {"a": b"x"}):
        with pytest.raises((TypeError, ValueError)):
            journal.write_detail(wrong)


def test_nothing_begins_a_line_of_its_own():
    text = journal.make_one_line("a\nobject b\r\x1b[2K\u2028c")
    assert "\n" not in text
    assert text == "a object b  [2K c"


def test_only_a_body_is_read_as_one():
    lines = [journal.BODY_HEADER, *(f"{label} x" for label, _ in journal.BODY_LINES)]
    body = "\n".join([*lines, "summary s", "detail d"]) + "\n"
    assert journal.read_body(body)["detail"] == "d"
    for wrong in (body[:-1], body + "more\n", body.replace("actor x\n", ""), "x" + body):
        with pytest.raises(ValueError, match="not the body"):
            journal.read_body(wrong)


# --- Checkpoints ----------------------------------------------------------------------------------


def make_note(size=3, key=None, **facts):
    origin = journal.make_origin("11111111-1111-1111-1111-111111111111")
    point = Checkpoint(origin, size, b"\7" * 32, "2026-11-23T08:00:00.000000Z", **facts)
    return sign_checkpoint(point, key or Ed25519PrivateKey.generate())


def test_a_note_reads_back_and_is_signed_by_its_key_alone():
    key = Ed25519PrivateKey.generate()
    for facts in ({}, {"kept_size": 2}):
        note = make_note(key=key, **facts)
        assert read_note(note.text) == note
        assert is_signed(note, [b"\1" * 32, get_public_key(key)])
        assert not is_signed(note, [get_public_key(Ed25519PrivateKey.generate())])
        assert not is_signed(note, [])


def test_no_bit_of_a_note_can_be_turned():
    key = Ed25519PrivateKey.generate()
    note = make_note(key=key)
    for at in range(len(note.text)):
        for bit in (1, 2, 4):
            turned = note.text[:at] + chr(ord(note.text[at]) ^ bit) + note.text[at + 1 :]
            try:
                changed = read_note(turned)
            except (UnreadableNote, UnicodeEncodeError):
                continue
            assert not is_signed(changed, [get_public_key(key)]), (at, turned)


@pytest.mark.parametrize("wrong", ["", "a", "a\n\nb", "o\n1\nx\ntime y\n\n— o AAAA\n"])
def test_what_is_no_note_is_refused(wrong):
    with pytest.raises(UnreadableNote):
        read_note(wrong)


def test_a_file_of_notes_forgives_only_its_torn_end():
    notes = [make_note(size).text for size in (1, 2, 3)]
    whole = "".join(f"{text}\n" for text in notes)
    assert split_notes(whole) == notes
    for cut in range(1, len(notes[-1]) + 1):
        assert split_notes(whole[:-cut]) == notes[:2]


def test_a_restart_voids_what_was_beyond_it():
    notes = [make_note(size) for size in (10, 20, 30)]
    restart = make_note(12, kept_size=10)
    held, lost = drop_void([*notes, restart, make_note(25)])
    assert [note.checkpoint.size for note in held] == [10, 12, 25]
    assert lost == {12: 20}


def test_our_own_check_of_signatures_agrees_with_the_library():
    rng = random.Random(8032)
    for _ in range(4):
        key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        message, public = rng.randbytes(rng.randrange(200)), get_public_key(key)
        signature = key.sign(message)
        assert statement_proof.is_signature(public, message, signature)
        assert not statement_proof.is_signature(public, message + b"!", signature)
        for at in (0, 31, 32, 63):
            turned = bytearray(signature)
            turned[at] ^= 1
            assert not statement_proof.is_signature(public, message, bytes(turned))
        order = 2**252 + 27742317777372353535851937790883648493
        other = int.from_bytes(signature[32:], "little") + order  # the same, written otherwise
        if other < 2**256:
            doubled = signature[:32] + other.to_bytes(32, "little")
            assert not statement_proof.is_signature(public, message, doubled)
