from consumers.repeated import Repeated


def test_one_trouble_is_told_once_a_minute_and_another_one_at_once() -> None:
    seconds = [1000.0]
    told = Repeated(lambda: seconds[0])
    assert told.is_due("the broker is away")
    seconds[0] += 59
    assert not told.is_due("the broker is away")
    seconds[0] += 1
    assert told.is_due("the broker is away")
    assert told.is_due("the database is away")
    assert told.is_due("the broker is away")
