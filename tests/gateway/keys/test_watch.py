"""The file of keys: what is read when it changes, and that nothing wrong with it lets anybody in."""

import hashlib

import pytest
from lessllm_gateway.keys.ring import KeyRing
from lessllm_gateway.keys.watch import Watch
from lessllm_shared.config import ConfigError
from lessllm_shared.config.sections import Auth, Key


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text("keys: [{name: a, key: lk-a}, {name: b, key: lk-b}]")
    return path


@pytest.fixture
def watch(file):
    return Watch(Auth(keys=[Key(name="fixed", key="lk-fixed")], keys_file=file))


def who(watch):
    return {
        key: found.name for key in ("lk-a", "lk-b", "lk-c", "lk-fixed") if (found := watch.ring.find(key))
    }


def test_a_key_that_is_gone_from_the_file_is_gone(watch, file):
    assert who(watch) == {"lk-a": "a", "lk-b": "b", "lk-fixed": "fixed"}
    digest = hashlib.sha256(b"lk-c").hexdigest()
    file.write_text(f"keys: [{{name: a, key: lk-a}}, {{name: c, key_sha256: {digest.upper()}}}]")
    watch.look()
    assert who(watch) == {"lk-a": "a", "lk-c": "c", "lk-fixed": "fixed"}


def test_a_mounted_secret_changes_by_its_link(watch, file, tmp_path):
    """As Kubernetes does it."""
    other = tmp_path / "other.yaml"
    other.write_text("keys: [{name: a, key: lk-c}, {name: b, key: lk-b}]")
    old = file.rename(tmp_path / "old.yaml")
    file.symlink_to(old)
    watch.look()
    link = tmp_path / "link"
    link.symlink_to(other)
    link.replace(file)
    watch.look()
    assert who(watch) == {"lk-c": "a", "lk-b": "b", "lk-fixed": "fixed"}


@pytest.mark.parametrize(
    "text",
    [
        "",  # while it is written
        "keys:",
        "keys: [{name: a, key: lk-secret",
        "keys: [{name: a, key: lk-secret, kye: lk-secret}]",
        "keys: [{name: fixed, key: lk-secret}]",
        'keys: [{name: a, key: "${NOT_SET_ANYWHERE}"}]',
        None,  # gone
    ],
)
def test_a_file_that_can_not_be_read_leaves_the_keys_and_says_so_once(watch, file, text, caplog):
    before = who(watch)
    file.unlink()
    if text is not None:
        file.write_text(text)
    watch.look()
    watch.look()
    assert who(watch) == before
    (said,) = caplog.messages
    assert str(file) in said
    assert "lk-secret" not in said
    file.write_text("keys: []")  # nobody but those of the configuration
    watch.look()
    assert who(watch) == {"lk-fixed": "fixed"}


def test_a_file_without_a_key_lets_nobody_in_and_a_broken_one_lets_no_gateway_start(file):
    file.write_text("keys: []")
    assert Watch(Auth(keys_file=file)).ring.asks
    file.write_text("")
    with pytest.raises(ConfigError, match="keys"):
        Watch(Auth(keys_file=file))


def test_no_key_and_no_hash_of_one_is_in_what_a_gateway_holds():
    keys = [Key(name="a", key="lk-a"), Key(name="b", key_sha256=hashlib.sha256(b"lk-b").hexdigest())]
    ring = KeyRing(keys)
    held = {bytes(found) for found in ring._keys}
    assert not held & {key.digest for key in keys}
    assert not any("lk-" in repr(key) or key.digest.hex() in repr(key) for key in keys)
    assert not any(KeyRing(keys)._keys.keys() & ring._keys.keys() for _ in range(3))  # another secret each
