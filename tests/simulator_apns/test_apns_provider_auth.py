"""Provider tokens on one connection: signatures, ages, teams, keys, and the 20-minute rule."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from skerry.domain.push import Environment
from skerry.simulator.apns.limits import Limits
from skerry.simulator.apns.provider_auth import ConnectionAuth, bundle_id_of
from skerry.simulator.apns.provider_keys import ProviderKey, ProviderKeys

NOW = 1_790_000_000
TEAM, KEY = "SKERRYTEAM", "SKERRYDEV1"
TOPIC = "com.example.app.push-type.liveactivity"
MINUTE = 60


@pytest.fixture
def keys() -> ProviderKeys:
    return ProviderKeys()


@pytest.fixture
def pem(keys: ProviderKeys) -> bytes:
    return keys.generate_dev(TEAM, KEY)


@pytest.fixture
def sign():
    """PyJWT signs, as it does for many senders."""
    import jwt

    def make(pem: bytes, iat: object = NOW, kid: str | None = KEY, iss: str = TEAM, **extra: object) -> str:
        headers = {} if kid is None else {"kid": kid}
        return "bearer " + jwt.encode({"iss": iss, "iat": iat, **extra}, pem, algorithm="ES256", headers=headers)

    return make


def connection(
    keys: ProviderKeys, environment: Environment = Environment.SANDBOX, limits: Limits | None = None
) -> ConnectionAuth:
    return ConnectionAuth(keys, environment, limits or Limits())


def new_pem() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def test_a_good_token_is_taken_and_binds_the_connection(keys, pem, sign):
    auth = connection(keys)
    assert not auth.bound
    assert auth.refusal(sign(pem), NOW) is None
    assert auth.bound
    assert auth.covers(TOPIC)


@pytest.mark.parametrize("authorization", [None, "", "basic abc", "bearer", "token"])
def test_no_bearer_token_is_a_missing_one(keys, authorization):
    assert connection(keys).refusal(authorization, NOW) == "MissingProviderToken"


@pytest.mark.parametrize(
    "token", ["bearer x", "bearer a.b.c", "bearer a.b", "bearer ä.b.c", "bearer " + "a" * 5000, "bearer e30.e30.e30"]
)
def test_a_malformed_token_is_invalid(keys, pem, token):
    assert connection(keys).refusal(token, NOW) == "InvalidProviderToken"


@pytest.mark.parametrize(
    "claims",
    [
        {"kid": "UNKNOWNKEY"},
        {"kid": None},
        {"iss": "OTHERTEAM1"},
        {"iat": str(NOW)},
        {"iat": NOW * 1000},
        {"iat": float(NOW)},
        {"iat": True},
        {"iat": NOW + 61 * MINUTE},
    ],
)
def test_a_token_that_says_the_wrong_thing_is_invalid(keys, pem, sign, claims):
    assert connection(keys).refusal(sign(pem, **claims), NOW) == "InvalidProviderToken"


def test_a_token_signed_by_another_key_is_invalid(keys, pem, sign):
    assert connection(keys).refusal(sign(new_pem()), NOW) == "InvalidProviderToken"


def test_only_es256_is_an_algorithm(keys):
    import jwt

    token = jwt.encode({"iss": TEAM, "iat": NOW}, "x" * 32, algorithm="HS256", headers={"kid": KEY})
    assert connection(keys).refusal(f"bearer {token}", NOW) == "InvalidProviderToken"


def test_claims_beyond_the_two_are_ignored(keys, pem, sign):
    assert connection(keys).refusal(sign(pem, exp=NOW + 10), NOW) is None


@pytest.mark.parametrize(("age", "reason"), [(60 * MINUTE, None), (60 * MINUTE + 1, "ExpiredProviderToken")])
def test_a_token_lives_for_an_hour(keys, pem, sign, age, reason):
    assert connection(keys).refusal(sign(pem, iat=NOW - age), NOW) == reason


def test_a_token_expires_on_the_connection_that_has_taken_it(keys, pem, sign):
    auth, token = connection(keys), sign(pem)
    assert auth.refusal(token, NOW) is None
    assert auth.refusal(token, NOW + 61 * MINUTE) == "ExpiredProviderToken"


@pytest.mark.parametrize(("wedges", "after"), [(True, "ExpiredProviderToken"), (False, None)])
def test_a_connection_that_has_said_expired_stays_wedged(keys, pem, sign, wedges, after):
    auth = connection(keys, limits=Limits(expired_token_wedges=wedges))
    assert auth.refusal(sign(pem, iat=NOW - 2 * 60 * MINUTE), NOW) == "ExpiredProviderToken"
    assert auth.refusal(sign(pem), NOW) == after


def test_one_renewal_is_free_and_the_second_within_20_minutes_is_too_many(keys, pem, sign):
    auth = connection(keys)
    assert auth.refusal(sign(pem), NOW) is None
    assert auth.refusal(sign(pem, iat=NOW + 1), NOW + 1) is None
    assert auth.refusal(sign(pem, iat=NOW + 2), NOW + 2) == "TooManyProviderTokenUpdates"


def test_after_too_many_updates_the_connection_is_unusable_until_20_minutes_have_passed(keys, pem, sign):
    auth, first = connection(keys), sign(pem)
    for second in range(2):
        assert auth.refusal(sign(pem, iat=NOW + second), NOW) is None
    assert auth.refusal(sign(pem, iat=NOW + 9), NOW) == "TooManyProviderTokenUpdates"
    assert auth.refusal(first, NOW + 20 * MINUTE - 1) == "TooManyProviderTokenUpdates"
    assert auth.refusal(sign(pem, iat=NOW + 9), NOW + 20 * MINUTE) is None


def test_renewal_every_50_minutes_is_never_too_often(keys, pem, sign):
    auth = connection(keys)
    for hour in range(10):
        now = NOW + hour * 50 * MINUTE
        assert auth.refusal(sign(pem, iat=now), now) is None


def test_requests_of_the_old_and_the_new_token_may_overlap(keys, pem, sign):
    auth, old, new = connection(keys), sign(pem), sign(pem, iat=NOW + 5)
    for token in (old, new, old, new, old):
        assert auth.refusal(token, NOW + 10) is None


def test_the_first_change_can_be_made_too_many(keys, pem, sign):
    auth = connection(keys, limits=Limits(token_updates_per_interval=0))
    assert auth.refusal(sign(pem), NOW) is None
    assert auth.refusal(sign(pem, iat=NOW + 60), NOW + 60) == "TooManyProviderTokenUpdates"


@pytest.mark.parametrize("reason", ["InvalidProviderToken", "Forbidden"])
def test_a_second_team_on_a_connection_is_refused(keys, pem, sign, reason):
    other = keys.generate_dev("OTHERTEAM1", "OTHERKEY01")
    auth = connection(keys, limits=Limits(foreign_team_reason=reason))
    assert auth.refusal(sign(pem), NOW) is None
    assert auth.refusal(sign(other, kid="OTHERKEY01", iss="OTHERTEAM1"), NOW) == reason


def test_a_key_of_the_other_environment_is_refused(keys, sign):
    pem = new_pem()
    keys.register_pem(TEAM, KEY, pem, environments=frozenset({Environment.PRODUCTION}))
    assert connection(keys, Environment.SANDBOX).refusal(sign(pem), NOW) == "BadEnvironmentKeyInToken"
    assert connection(keys, Environment.PRODUCTION).refusal(sign(pem), NOW) is None


def test_team_scoped_keys_of_one_team_share_a_connection(keys, pem, sign):
    second = keys.generate_dev(TEAM, "SECONDKEY1")
    auth = connection(keys)
    assert auth.refusal(sign(pem), NOW) is None
    assert auth.refusal(sign(second, kid="SECONDKEY1"), NOW) is None


def test_a_topic_specific_key_only_shares_with_its_related_key(keys, pem, sign):
    first, related, stranger = new_pem(), new_pem(), new_pem()
    topics = frozenset({TOPIC})
    keys.register_pem(TEAM, "TOPICKEY01", first, topics=topics, related_key_id="TOPICKEY02")
    keys.register_pem(TEAM, "TOPICKEY02", related, topics=topics)
    keys.register_pem(TEAM, "TOPICKEY03", stranger, topics=topics)
    auth = connection(keys)
    assert auth.refusal(sign(first, kid="TOPICKEY01"), NOW) is None
    assert auth.refusal(sign(stranger, kid="TOPICKEY03"), NOW) == "UnrelatedKeyIdInToken"
    assert auth.refusal(sign(pem), NOW) == "UnrelatedKeyIdInToken"
    assert auth.refusal(sign(related, kid="TOPICKEY02"), NOW) is None


def test_a_topic_specific_key_covers_its_topics_only(keys, sign):
    pem = new_pem()
    keys.register_pem(TEAM, KEY, pem, topics=frozenset({TOPIC}))
    auth = connection(keys)
    assert auth.refusal(sign(pem), NOW) is None
    assert auth.covers(TOPIC)
    assert not auth.covers("com.example.app")


def test_the_teams_apps_are_bound_at_the_first_push(keys, sign):
    pem = new_pem()
    keys.register_pem(TEAM, KEY, pem, bundle_ids=frozenset({"com.example.app"}))
    auth = connection(keys)
    assert auth.refusal(sign(pem), NOW) is None
    keys.register_pem(TEAM, KEY, pem, bundle_ids=frozenset({"com.example.app", "com.example.new"}))
    assert not auth.covers("com.example.new")
    fresh = connection(keys)
    assert fresh.refusal(sign(pem), NOW) is None
    assert fresh.covers("com.example.new")


def test_a_revoked_key_lives_on_where_its_token_was_taken(keys, pem, sign):
    auth, token = connection(keys), sign(pem)
    assert auth.refusal(token, NOW) is None
    keys.revoke(KEY)
    assert auth.refusal(token, NOW) is None
    assert connection(keys).refusal(token, NOW) == "InvalidProviderToken"


@pytest.mark.parametrize(("team", "key"), [("short", KEY), (TEAM, "lowercase1"), ("", "")])
def test_ids_must_look_like_apples(keys, team, key):
    with pytest.raises(ValueError, match=r"_id must be 10"):
        keys.generate_dev(team, key)


def test_only_p256_keys_can_be_registered(keys):
    wrong_curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(ValueError, match="P-256"):
        keys.register(ProviderKey(TEAM, KEY, wrong_curve))
    no_ec = rsa.generate_private_key(65537, 2048).public_key()
    pem = no_ec.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="P-256"):
        keys.register_pem(TEAM, KEY, pem)


@pytest.mark.parametrize(
    ("topic", "bundle_id"),
    [
        ("com.example.app", "com.example.app"),
        (TOPIC, "com.example.app"),
        ("com.example.app.voip", "com.example.app"),
        ("com.example.app.voip-ptt", "com.example.app"),
    ],
)
def test_a_topic_names_its_app(topic, bundle_id):
    assert bundle_id_of(topic) == bundle_id
