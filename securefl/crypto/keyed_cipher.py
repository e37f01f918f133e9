"""The cipher of a scheme and profile, with the keys that all members share.

TenSEAL is imported for ``bfv`` alone: a member of a federation under another scheme need not have it.
"""

from __future__ import annotations

from securefl.crypto.bfv_profiles import BfvProfile
from securefl.crypto.cipher import Cipher
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.kahe.cipher import KaheCipher
from securefl.crypto.kahe.profiles import KaheProfile
from securefl.crypto.keys import SharedKeys
from securefl.crypto.profiles import Profile
from securefl.crypto.schemes import Scheme
from securefl.errors import IdentityError


def cipher_with(keys: SharedKeys, *, scheme: Scheme, profile: Profile) -> Cipher:
    """The federation's cipher at a member.

    Args:
        keys: The shared keys; only ``bfv`` takes its own from them.
        scheme: Its name.
        profile: Its parameters.

    Raises:
        IdentityError: if the keys are not of the scheme, or the profile is not.
        UsageError: if ``bfv`` cannot run here.
    """
    match scheme, profile:
        case "kahe", KaheProfile():
            return KaheCipher(profile)
        case "none", _:
            return IntegerTwin(profile)
        case "bfv", BfvProfile() if keys.cipher is not None:
            from securefl.crypto.authenticated_bfv import AuthenticatedBfv
            from securefl.crypto.bfv import BfvCipher

            return AuthenticatedBfv(BfvCipher(profile, keys.cipher), keys.mac)
        case _:
            raise IdentityError(
                f"profile {profile.name} or the shared keys are not those of scheme {scheme}",
                hint="copy the member's folder again",
            )
