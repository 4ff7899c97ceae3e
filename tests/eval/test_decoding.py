from eval.decoding import Decoding, prediction_key
from eval.items import Constraint
from tests.eval.factories import item


def test_decoding_is_greedy_whatever_the_extra_fields_say():
    fields = Decoding(max_tokens=8, extra={"temperature": 1.0, "top_k": 1}).request_fields()

    assert fields["temperature"] == 0.0
    assert fields["max_tokens"] == 8
    assert fields["top_k"] == 1


def test_a_forced_answer_has_another_prediction_key():
    forced = item(1).model_copy(update={"constraint": Constraint(choice=("red", "blue"))})

    keys = [prediction_key("a", it, Decoding(), "0.32") for it in (item(1), forced)]

    assert keys[0] != keys[1]


def test_the_digest_tells_settings_apart():
    settings = [Decoding(), Decoding(max_tokens=9), Decoding(extra={"repetition_penalty": 1.0})]

    assert len({setting.digest for setting in settings}) == 3
    assert Decoding().digest == Decoding().digest


def test_the_prediction_key_depends_on_all_four_parts():
    keys = {
        prediction_key("a" * 64, item(1), Decoding(), "0.32"),
        prediction_key("b" * 64, item(1), Decoding(), "0.32"),
        prediction_key("a" * 64, item(2), Decoding(), "0.32"),
        prediction_key("a" * 64, item(1), Decoding(max_tokens=9), "0.32"),
        prediction_key("a" * 64, item(1), Decoding(), "0.33"),
    }

    assert len(keys) == 5
