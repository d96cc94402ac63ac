"""The recorder never raises: what can't be kept is counted."""

from lessllm_gateway.memory import Budget
from lessllm_gateway.recorder import MAX_MESSAGE_CHARS, Recorder
from lessllm_shared import record as rec
from lessllm_shared.record import EndReason
from prometheus_client import REGISTRY


class Full:
    def begin(self, request_id: str, t0_unix_ns: int) -> None:
        pass

    def offer(self, request_id: str, data: bytes) -> bool:
        del request_id, data
        return False


def lost(reason: str) -> float:
    return REGISTRY.get_sample_value("lessllm_gateway_records_lost_total", {"reason": reason}) or 0


def test_a_record_that_finds_no_room_is_counted():
    before = lost("buffer_full")
    recorder = Recorder(Full(), 100, Budget(100))
    recorder.finish(recorder.start())
    assert lost("buffer_full") == before + 1


def test_a_record_that_can_not_be_encoded_is_counted_and_named_without_its_text(caplog):
    before = lost("not_encodable")
    recorder = Recorder(Full(), 100, Budget(100))
    record = recorder.start()
    record.model = "\ud83d"
    recorder.finish(record)
    assert lost("not_encodable") == before + 1
    assert record.request_id in caplog.text


def test_a_long_error_is_cut(records):
    recorder = Recorder(records, 100, Budget(100))
    record = recorder.start()
    record.end_reason, record.error_message = EndReason.REJECTED, "x" * 10_000
    recorder.finish(record)
    assert records.all[0].error_message == "x" * MAX_MESSAGE_CHARS


def test_without_recording_nothing_is_taped():
    recorder = Recorder(None, 100, Budget(100))
    tape = recorder.tape()
    tape.add(b"x")
    assert (tape.finish(), tape.size_bytes) == (b"", 1)
    recorder.finish(rec.CallRecord(request_id="r", t0_unix_ns=1, end_reason=EndReason.COMPLETE))
