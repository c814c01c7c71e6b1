"""Addresses of the pages about people, and of the doors under the sign-in library's own names."""

from allauth.mfa.recovery_codes.views import ViewRecoveryCodesView
from allauth.mfa.webauthn.views import EditWebAuthnView, ListWebAuthnView
from django.urls import path

from accounts.views import (
    consents,
    disclosures,
    exports,
    households,
    journal,
    journal_proof,
    people,
    programs,
    risk,
    second_factors,
    secrets,
    security,
    signing_in,
    support,
)

app_name = "accounts"
urlpatterns = [
    path("sign-in/", signing_in.SignIn.as_view(), name="sign_in"),
    path("sign-out/", signing_in.sign_out, name="sign_out"),
    path("welcome/<uidb64>/<token>/", signing_in.Welcome.as_view(), name="welcome"),
    path("password/", signing_in.password, name="password"),
    path("households/<uuid:public_id>/risk/", risk.risk_profile, name="risk_profile"),
    path(
        "households/<uuid:public_id>/risk/questions/",
        risk.risk_questionnaire,
        name="risk_questionnaire",
    ),
    path(
        "households/<uuid:public_id>/risk/review/", consents.profile_review, name="profile_review"
    ),
    path("households/<uuid:public_id>/documents/", consents.documents, name="documents"),
    path(
        "households/<uuid:public_id>/mandates/<uuid:account_id>/end/",
        consents.mandate_end,
        name="mandate_end",
    ),
    path("disclosures/", disclosures.disclosures, name="disclosures"),
    path("disclosures/new/", disclosures.disclosure_new, name="disclosure_new"),
    path("disclosures/<uuid:public_id>/", disclosures.disclosure, name="disclosure"),
    path(
        "disclosures/<uuid:public_id>/publish/",
        disclosures.disclosure_publish,
        name="disclosure_publish",
    ),
    path("journal/", journal.journal, name="journal"),
    path("journal/journal.csv", exports.export_journal, name="export_journal"),
    path("journal/proof/", journal_proof.show_journal_proof, name="journal_proof"),
    path("journal/proof/release/", journal_proof.release_ask, name="release_ask"),
    path("journal/proof/release/confirm/", journal_proof.release_confirm, name="release_confirm"),
    path("support/", support.show_support, name="support"),
    path("support/ask/", support.support_ask, name="support_ask"),
    path("support/<int:grant_id>/<slug:answer>/", support.support_answer, name="support_answer"),
    path("programs/tokens/", programs.tokens, name="tokens"),
    path("programs/tokens/new/", programs.token_create, name="token_create"),
    path("programs/tokens/<uuid:public_id>/revoke/", programs.token_revoke, name="token_revoke"),
    path("programs/webhooks/", programs.webhooks, name="webhooks"),
    path("programs/webhooks/new/", programs.webhook_add, name="webhook_add"),
    path(
        "programs/webhooks/<uuid:public_id>/remove/",
        programs.webhook_remove,
        name="webhook_remove",
    ),
    path(
        "programs/deliveries/<uuid:public_id>/replay/",
        programs.delivery_replay,
        name="delivery_replay",
    ),
    path("programs/secrets/", secrets.secrets, name="secrets"),
    path("programs/secrets/new/", secrets.secret_set, name="secret_set"),
    path(
        "programs/secrets/<uuid:public_id>/confirm/", secrets.secret_confirm, name="secret_confirm"
    ),
    path("programs/secrets/<uuid:public_id>/refuse/", secrets.secret_refuse, name="secret_refuse"),
    path("people/", people.people, name="people"),
    path("people/new/", people.person_invite, name="person_invite"),
    path("people/<uuid:public_id>/link/", people.person_link, name="person_link"),
    path("people/<uuid:public_id>/disable/", people.person_disable, name="person_disable"),
    path("people/<uuid:public_id>/enable/", people.person_enable, name="person_enable"),
    path("people/<uuid:public_id>/role/", people.person_role, name="person_role"),
    path("people/<uuid:public_id>/address/", people.person_address, name="person_address"),
    path("people/<uuid:public_id>/sessions/", people.person_sessions_end, name="person_sessions"),
    path("people/<uuid:public_id>/second-step/", second_factors.reset_ask, name="reset_ask"),
    path("people/second-steps/", second_factors.resets, name="resets"),
    path(
        "people/second-steps/<int:reset_id>/confirm/",
        second_factors.reset_confirm,
        name="reset_confirm",
    ),
    path(
        "people/second-steps/<int:reset_id>/withdraw/",
        second_factors.reset_withdraw,
        name="reset_withdraw",
    ),
    path("security/sessions/end/", security.sessions_end, name="sessions_end"),
    path("security/sessions/<int:session_id>/end/", security.session_end, name="session_end"),
    path("people/households/", households.households, name="households"),
    path("people/households/new/", households.household_new, name="household_new"),
    path("people/households/<uuid:public_id>/", households.household, name="household"),
    path(
        "people/households/<uuid:public_id>/advisors/",
        households.advisor_assign,
        name="advisor_assign",
    ),
    path(
        "people/households/<uuid:public_id>/advisors/<uuid:advisor_id>/release/",
        households.advisor_release,
        name="advisor_release",
    ),
]

# The library finds its pages by these names; what it has and we do not offer (signing up, changing
# one's own address) has no address at all.
door_patterns = [
    path("sign-in/", signing_in.SignIn.as_view(), name="account_login"),
    path("sign-in/code/", signing_in.SecondStep.as_view(), name="mfa_authenticate"),
    path("sign-in/passkey/", signing_in.PasskeySignIn.as_view(), name="mfa_login_webauthn"),
    path("sign-in/forgotten/", signing_in.forgotten, name="account_reset_password"),
    path("sign-in/forgotten/sent/", signing_in.forgotten_done, name="account_reset_password_done"),
    path("sign-out/", signing_in.sign_out, name="account_logout"),
    path("confirm/", second_factors.StepUpByPassword.as_view(), name="account_reauthenticate"),
    path("confirm/code/", second_factors.StepUpByCode.as_view(), name="mfa_reauthenticate"),
    path(
        "confirm/passkey/",
        second_factors.StepUpByPasskey.as_view(),
        name="mfa_reauthenticate_webauthn",
    ),
    path("security/", second_factors.Security.as_view(), name="mfa_index"),
    path("security/app/", second_factors.SetUpApp.as_view(), name="mfa_activate_totp"),
    path("security/app/remove/", second_factors.RemoveApp.as_view(), name="mfa_deactivate_totp"),
    path("security/codes/", ViewRecoveryCodesView.as_view(), name="mfa_view_recovery_codes"),
    path(
        "security/codes/new/",
        second_factors.NewRecoveryCodes.as_view(),
        name="mfa_generate_recovery_codes",
    ),
    path("security/passkeys/", ListWebAuthnView.as_view(), name="mfa_list_webauthn"),
    path("security/passkeys/add/", second_factors.AddPasskey.as_view(), name="mfa_add_webauthn"),
    path(
        "security/passkeys/<int:pk>/remove/",
        second_factors.RemovePasskey.as_view(),
        name="mfa_remove_webauthn",
    ),
    path(
        "security/passkeys/<int:pk>/rename/", EditWebAuthnView.as_view(), name="mfa_edit_webauthn"
    ),
    path("security/sessions/", security.sessions, name="usersessions_list"),
]
