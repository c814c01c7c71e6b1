"""Addresses of the pages about people."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from accounts.views import households, journal, people, risk, signing_in

app_name = "accounts"
urlpatterns = [
    path("sign-in/", signing_in.SignIn.as_view(), name="sign_in"),
    path("sign-out/", LogoutView.as_view(), name="sign_out"),
    path("welcome/<uidb64>/<token>/", signing_in.Welcome.as_view(), name="welcome"),
    path("password/", signing_in.password, name="password"),
    path("households/<uuid:public_id>/risk/", risk.risk_profile, name="risk_profile"),
    path(
        "households/<uuid:public_id>/risk/questions/",
        risk.risk_questionnaire,
        name="risk_questionnaire",
    ),
    path("journal/", journal.journal, name="journal"),
    path("people/", people.people, name="people"),
    path("people/new/", people.person_invite, name="person_invite"),
    path("people/<uuid:public_id>/link/", people.person_link, name="person_link"),
    path("people/<uuid:public_id>/disable/", people.person_disable, name="person_disable"),
    path("people/<uuid:public_id>/enable/", people.person_enable, name="person_enable"),
    path("people/<uuid:public_id>/role/", people.person_role, name="person_role"),
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
