"""Between the event loop and the writer's thread: order, room, the end."""

import asyncio

from lessllm_collector import inbox as inboxes
from lessllm_collector.inbox import COMMIT_BYTES, Batch, Inbox


def _batch(first, *sizes):
    return Batch("g", first, first + len(sizes) - 1, [b"x" * size for size in sizes])


def test_a_batch_without_its_first_numbers_is_the_rest():
    batch = _batch(3, 1, 2, 4)
    assert batch.without(0) == batch
    assert batch.without(1) == _batch(4, 2, 4)
    assert batch.without(3) is None
    assert Batch("g", 3, 9, None).without(2) == Batch("g", 5, 9, None)


async def test_what_waits_is_taken_together_and_jobs_keep_their_place():
    inbox = Inbox()
    await inbox.put(_batch(1, 10))
    await inbox.put(_batch(2, 10))
    inbox.submit(print)
    await inbox.put(_batch(3, 10))
    assert inbox.take() == [_batch(1, 10), _batch(2, 10)]
    assert inbox.take() is print
    assert inbox.take() == [_batch(3, 10)]


async def test_one_commit_has_a_limit_in_bytes_but_a_larger_frame_still_goes():
    inbox = Inbox(max_bytes=10 * COMMIT_BYTES)
    await inbox.put(_batch(1, COMMIT_BYTES + 1))
    await inbox.put(_batch(2, COMMIT_BYTES - 1))
    await inbox.put(_batch(3, 1))
    await inbox.put(_batch(4, 1))
    assert [[batch.first_seq for batch in inbox.take()] for _ in range(3)] == [[1], [2, 3], [4]]


async def test_few_that_follow_a_commit_closely_wait_for_more(monkeypatch):
    monkeypatch.setattr(inboxes, "PAUSE_S", 3600)
    inbox = Inbox()
    await inbox.put(_batch(1, 10))
    inbox.done(inbox.take())
    await inbox.put(_batch(2, 10))
    taking = asyncio.create_task(asyncio.to_thread(inbox.take))
    await asyncio.wait({taking}, timeout=0.1)
    await inbox.put(_batch(3, COMMIT_BYTES - 10))
    assert await taking == [_batch(2, 10), _batch(3, COMMIT_BYTES - 10)]
    inbox.done([_batch(2, 10), _batch(3, COMMIT_BYTES - 10)])
    await inbox.put(_batch(4, 10))
    inbox.submit(print)  # whose turn is not put off
    assert [inbox.take(), inbox.take()] == [[_batch(4, 10)], print]


async def test_without_room_putting_waits_until_something_is_committed():
    inbox = Inbox(max_bytes=100)
    await inbox.put(_batch(1, 90))
    putting = asyncio.create_task(inbox.put(_batch(2, 90)))
    taken = await asyncio.to_thread(inbox.take)
    assert not putting.done()  # taken, but not yet committed: still in memory
    inbox.done(taken)
    await putting
    assert inbox.take() == [_batch(2, 90)]


async def test_a_batch_larger_than_all_room_goes_alone():
    inbox = Inbox(max_bytes=100)
    await inbox.put(_batch(1, 500))
    putting = asyncio.create_task(inbox.put(_batch(2, 1)))
    inbox.done(await asyncio.to_thread(inbox.take))
    await putting


async def test_closed_it_gives_what_is_left_and_then_the_end():
    inbox = Inbox()
    await inbox.put(_batch(1, 1))
    inbox.close()
    assert inbox.take() == [_batch(1, 1)]
    assert inbox.take() is None


async def test_closed_for_a_time_it_keeps_what_is_left_after_that():
    inbox = Inbox()
    await inbox.put(_batch(1, 1))
    inbox.close(within_s=-1)
    assert inbox.take() is None
