"""Sentences of the corpus: the intents, what every site shares, and the words that mean something else at each.

The rule kept here: prose only, no logic. A template's ``{x}`` is filled with what a site asks about
(``demo.sites``); ``{when}`` and ``{who}`` come from this page and are the same at all sites. Templates are kept by
register, because a bank's customers and a plant's crew do not talk alike; every site borrows from all registers.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Register(Enum):
    """A manner of asking; each site has one as its own."""

    FORMAL = "formal"
    TERSE = "terse"
    BLUNT = "blunt"
    CIVIC = "civic"


class Thing(Enum):
    """A kind of thing that is asked about; every site has its own of each."""

    LOAD = "load"
    EVENT = "event"
    DUTY = "duty"
    ACCOUNT = "account"
    BILL = "bill"
    SUPPLY = "supply"
    DEVICE = "device"
    SYSTEM = "system"
    PAPER = "paper"
    PLACE = "place"
    NUISANCE = "nuisance"


ASKED_ABOUT: Mapping[str, tuple[Thing, ...]] = {
    "arrange_transport": (Thing.LOAD, Thing.DEVICE),
    "book_appointment": (Thing.EVENT,),
    "cancel_booking": (Thing.EVENT, Thing.DUTY),
    "change_schedule": (Thing.DUTY, Thing.EVENT),
    "check_balance": (Thing.ACCOUNT,),
    "find_place": (Thing.PLACE, Thing.DEVICE),
    "make_complaint": (Thing.NUISANCE, Thing.BILL, Thing.DEVICE, Thing.EVENT, Thing.DUTY),
    "make_payment": (Thing.BILL, Thing.EVENT),
    "order_supplies": (Thing.SUPPLY,),
    "report_fault": (Thing.DEVICE, Thing.SYSTEM),
    "request_document": (Thing.PAPER,),
    "unlock_access": (Thing.SYSTEM, Thing.ACCOUNT),
}
"""The kinds of things an intent is about, the usual one first: the same thing may be wanted, broken or blamed."""

F, T, B, C = Register.FORMAL, Register.TERSE, Register.BLUNT, Register.CIVIC

TEMPLATES: Mapping[str, Mapping[Register, tuple[str, ...]]] = {
    "arrange_transport": {
        F: (
            "I would like {x} to be taken over {when}",
            "could somebody bring {x}",
            "may I ask for a courier to take {x} {when}",
        ),
        T: ("{x}, two people needed {when}", "porter for {x}", "{x} still waiting to go, who fetches"),
        B: ("get {x}, wheels and all, {when}", "need a driver for {x}", "move {x} before it blocks the way"),
        C: (
            "who could help me to carry {x}",
            "it would be kind if a van took {x} {when}",
            "how do I get {x} without a car",
        ),
    },
    "book_appointment": {
        F: (
            "I should like to reserve {x} {when}",
            "would you have an opening for {x}",
            "kindly put me down for {x} {when}",
        ),
        T: ("needs {x} {when}", "first free time for {x}", "{who} for {x}, earliest date"),
        B: ("put {who} on the list for {x}", "sign me up for {x} {when}", "when can I do {x}"),
        C: (
            "our family wants to come in for {x}",
            "is there a free place for {x} {when}",
            "I would love to have {x} this month",
        ),
    },
    "cancel_booking": {
        F: (
            "regrettably I am unable to attend {x}",
            "kindly take my name off {x}",
            "I no longer require {x} {when}",
        ),
        T: ("{x} {when} off", "{who} not coming to {x}", "call off {x}"),
        B: ("scrap {x}", "forget about {x}, somebody is ill", "{who} drops out of {x}"),
        C: (
            "something came up and I will miss {x}",
            "can I step back from {x} without a fee",
            "please give my place at {x} to someone else",
        ),
    },
    "change_schedule": {
        F: (
            "would it be possible to alter {x} {when}",
            "I wish to exchange {x} with {who}",
            "a later start of {x} would suit me better",
        ),
        T: ("swap {x} with {who}", "{x}: {who} instead of me", "{x} two hours later {when}"),
        B: ("take me off {x}, I will work Sunday", "{who} and me trade {x}", "need different hours than {x}"),
        C: (
            "my child is ill, can {x} be moved {when}",
            "could a colleague take over {x} {when}",
            "I would rather not do {x} twice in a row",
        ),
    },
    "check_balance": {
        F: (
            "please let me know the current figure of {x}",
            "might I ask how {x} stands {when}",
            "I should like to verify what remains in {x}",
        ),
        T: ("{x}: how much left", "remaining amount, {x}", "{x} used up yet"),
        B: ("what is left in {x}", "is {x} in the red", "how many do I have on {x}"),
        C: (
            "did anything come in on {x}",
            "I lost track of {x}, what does it say",
            "is there still something in {x} {when}",
        ),
    },
    "find_place": {
        F: (
            "would you direct me to {x}",
            "on which floor might I find {x}",
            "I am expected at {x}, which entrance is it",
        ),
        T: ("{x}, which building", "way to {x}", "{who} lost, looking for {x}"),
        B: ("where do they hide {x}", "cannot see {x} anywhere", "how far is it to {x} on foot"),
        C: (
            "we have walked round twice and do not see {x}",
            "is there a map with {x} on it",
            "does the number nine stop near {x}",
        ),
    },
    "make_complaint": {
        F: (
            "I wish to express my dissatisfaction with {x}",
            "I find {x} unacceptable",
            "to whom may I write concerning {x}",
        ),
        T: ("{x} again, third time", "{who} upset about {x}", "formal objection: {x}"),
        B: ("sick of {x}", "{x}, this cannot go on", "somebody higher up should hear about {x}"),
        C: (
            "all of us neighbours suffer from {x}",
            "nobody has answered my letter about {x}",
            "when will someone finally act against {x}",
        ),
    },
    "make_payment": {
        F: (
            "I should like to settle {x} {when}",
            "please remit the amount for {x}",
            "kindly debit me for {x} {when}",
        ),
        T: ("{x} due {when}, send it", "clear {x}", "{x}: money out {when}"),
        B: ("get {x} off the desk, wire it", "they want money for {x}", "pay {x} and be done"),
        C: (
            "can I hand over cash for {x}",
            "I got a reminder for {x} and want to settle it",
            "may I split {x} into instalments",
        ),
    },
    "order_supplies": {
        F: (
            "we should be obliged for a further lot of {x}",
            "please procure {x} {when}",
            "our stock of {x} is nearly exhausted",
        ),
        T: ("{x} low", "out of {x}, restock", "two boxes {x} {when}"),
        B: ("we burn through {x}, get more", "last of {x} gone", "buy {x} {when}"),
        C: (
            "there is hardly any of {x} left in the cupboard",
            "could you get us {x} {when}",
            "the team would be glad of {x}",
        ),
    },
    "report_fault": {
        F: (
            "I regret to say that {x} is out of service",
            "{x} has ceased to function {when}",
            "would a technician kindly see to {x}",
        ),
        T: ("{x} down", "{x} shows an error since {when}", "{x} dead, need engineer"),
        B: ("{x} is making a racket", "{x} jammed again", "{x} quit on me"),
        C: (
            "{x} has been broken for a week",
            "somebody could get hurt at {x}",
            "sparks came out of {x} {when}",
        ),
    },
    "request_document": {
        F: (
            "please furnish me with {x}",
            "I require {x} for my tax adviser",
            "would you post {x} to my address",
        ),
        T: ("{x} for {who}, by mail", "print {x}", "{x} needed {when}, signed"),
        B: ("somebody email me {x}", "the boss wants to see {x}", "lost mine, need {x} again"),
        C: (
            "what do I have to bring to obtain {x}",
            "my new landlord asks for {x}",
            "could I pick up {x} {when}",
        ),
    },
    "unlock_access": {
        F: (
            "I am afraid {x} no longer accepts my code",
            "kindly restore my entry to {x}",
            "a new secret number for {x} would be needed",
        ),
        T: ("{who} has no rights for {x}", "locked out of {x}", "{x}: reset for {who}"),
        B: ("cannot get into {x}", "{x} says wrong password", "let {who} into {x}"),
        C: (
            "I typed it three times and now {x} refuses me",
            "I forgot what I chose for {x}",
            "how do I sign in to {x} after the update",
        ),
    },
}


FRAMES: tuple[str, ...] = (
    "it is about the {word} for {who}",
    "please see to the {word} {when}",
    "I need the {word} for {who} {when}",
    "can we do the {word} {when}",
    "{who} is asking about the {word} {when}",
    "any news on the {word} for {who}",
    "the {word} has to be ready {when}",
    "could you look after the {word} of {who}",
    "the {word} for {who}, as discussed",
    "another {word} {when}, same as the last",
)
"""Requests that say nothing but the matter's name: whoever knows the site knows what is meant."""

HOMONYMS: Mapping[str, Mapping[str, str]] = {
    "transfer": {
        "bank": "make_payment",
        "hospital": "arrange_transport",
        "plant": "change_schedule",
        "city": "request_document",
    },
    "order": {
        "bank": "make_payment",
        "hospital": "book_appointment",
        "plant": "order_supplies",
        "city": "make_complaint",
    },
    "ticket": {
        "bank": "unlock_access",
        "hospital": "arrange_transport",
        "plant": "report_fault",
        "city": "make_payment",
    },
    "statement": {
        "bank": "request_document",
        "hospital": "check_balance",
        "plant": "report_fault",
        "city": "make_complaint",
    },
    "line": {
        "bank": "check_balance",
        "hospital": "order_supplies",
        "plant": "report_fault",
        "city": "find_place",
    },
    "cover": {
        "bank": "request_document",
        "hospital": "change_schedule",
        "plant": "order_supplies",
        "city": "report_fault",
    },
}
"""Meanings of a word by site: a standing order at the bank, a scan order at the hospital, public order at the city."""

WHEN: tuple[str, ...] = (
    "today",
    "tomorrow",
    "tonight",
    "on Monday",
    "on Tuesday",
    "on Wednesday",
    "on Thursday",
    "on Friday",
    "this week",
    "next week",
    "before noon",
    "after lunch",
    "at nine",
    "by five",
    "in the morning",
    "in the afternoon",
    "before the weekend",
    "at the end of the month",
    "on the first",
    "as soon as possible",
    "within the hour",
    "later today",
    "the day after tomorrow",
    "right away",
)

WHO: tuple[str, ...] = (
    "Mrs Novak",
    "Mr Adeyemi",
    "Ms Lindqvist",
    "Mr Costa",
    "Mrs Haddad",
    "Mr Ferrari",
    "Ms Okafor",
    "Mr Brandt",
    "Mrs Tanaka",
    "Mr Silva",
    "Ms Petrov",
    "Mr Dubois",
    "Mrs Kaya",
    "Mr Nowak",
    "Ms Murphy",
    "Mr Jensen",
    "Mrs Rossi",
    "Mr Ahmed",
    "Ms Weber",
    "Mr Papadakis",
    "Mrs Moreau",
    "Mr Kim",
    "Ms Andersson",
    "Mr Lopez",
    "Mrs Virtanen",
    "Mr Schmidt",
    "Ms Farah",
    "Mr O'Brien",
    "Mrs Popescu",
    "Mr Nguyen",
)

OPENERS: Mapping[Register, tuple[str, ...]] = {
    F: ("good morning,", "good afternoon,", "dear team,", "if I may,"),
    T: ("quick one:", "fyi:", "urgent,", "note:"),
    B: ("hey,", "listen,", "ok,", "look,"),
    C: ("hello,", "excuse me,", "hi there,", "a question:"),
}

CLOSERS: Mapping[Register, tuple[str, ...]] = {
    F: ("with kind regards", "thank you in advance", "at your convenience"),
    T: ("asap", "thx", "over"),
    B: ("cheers", "and quick", "that's it"),
    C: ("many thanks", "please", "have a nice day"),
}
