"""Function words, question scaffolding, negators and calendar names.

Sources: the closed word classes of English as listed by the Universal Dependencies part-of-speech guidelines
(determiners, pronouns, adpositions, auxiliaries, conjunctions, particles); Unicode CLDR ``gregorian`` for months and
weekdays, long and short.
"""

from __future__ import annotations

from .lists import listed

MONTHS: dict[str, int] = {
    name: number + 1
    for number, names in enumerate(
        listed(
            """january jan; february feb; march mar; april apr; may; june jun; july jul; august aug; september
            sept sep; october oct; november nov; december dec""",
            ";",
        )
    )
    for name in names.split()
}

# A bare short or ambiguous name ("may", "march", "mar", "jan", "sun") is no month or day on its own.
MONTH_WORDS: dict[str, str] = {name: f"month{n}" for name, n in MONTHS.items() if len(name) > 3 and name != "march"} | {
    "june": "month6",
    "july": "month7",
}
WEEKDAYS: dict[str, str] = {
    name: names.split()[0]
    for names in listed("""monday; tuesday tues; wednesday; thursday thurs thur; friday; saturday; sunday""", ";")
    for name in names.split()
}

# Never the subject of a question: taking them out leaves its content.
FUNCTION: frozenset[str] = frozenset(
    listed(
        """a an the this that these those some any each every all both either such much many more most few several
        lot lots i me my mine myself you your yours yourself he him his himself she her hers herself it its
        itself we us our ours ourselves they them their theirs themselves one ones someone somebody anyone
        anybody everyone something anything everything person people who whom whose which what whats when where
        why how whether be am is are was were been being isn aren wasn weren wo ca sha m s re ve ll t do does
        did doing done don didn doesn have has had having haven hasn hadn can could may might must shall should
        will would ought need cannot able let lets ever just also too very really actually exactly even still
        yet already so such quite rather about above across after against along among around as at before behind
        below beneath beside besides between beyond by despite down during except for from in inside into like
        near of off on onto out outside over past per regarding since than through throughout till to toward
        towards under until up upon via with within without and or but nor if then because while although though
        unless however therefore there here again only own same other another else anyway instead get gets got
        getting go goes going went gone put come comes came u r im ive id ill youre dont doesnt didnt cant
        couldnt wont wouldnt isnt arent wasnt hasnt havent shouldnt thats theres not no never none nobody
        nothing neither nowhere w vs versus etc eg ie ok okay well oh hey hi hello sir dear"""
    )
)

# What people put around a question without changing what is asked (imperatives and politeness of requests).
FRAME: frozenset[str] = frozenset(
    listed(
        """please kindly thanks thank want wanna wish like love help tell say show give provide explain describe
        know understand find figure see look think suppose believe guess ask question answer wonder wondering
        possible way ways step steps method process procedure thing things kind sort type reason reasons mean
        meaning use using used work works make makes made making take takes taken took happen happens happened
        best better good great nice top main major different various certain specific particular recommend
        suggest advice advise tip tips idea ideas try trying tried start started began begin info information
        detail details example examples example list name names called call currently recently usually normally
        generally basically simply easily quickly correctly properly successfully possibly probably maybe
        perhaps always often sometimes time times day days year years somehow anyways hear heard seem seems
        become becoming set"""
    )
)

NEGATORS: frozenset[str] = frozenset(
    listed(
        """not no never none nobody nothing neither nor nowhere cannot without isnt arent wasnt werent dont doesnt
        didnt cant couldnt wont wouldnt shouldnt hasnt havent hadnt mustnt neednt ain aint hardly unable"""
    )
)

# Between two things these say that their order means nothing.
SYMMETRIC: frozenset[str] = frozenset(
    listed(
        """and or vs versus with between difference differ different differences compare compared comparison
        comparing similarity similarities similar common both either nor v same equal together"""
    )
)

# Before an argument: where something comes from, where it goes.
SOURCE: frozenset[str] = frozenset(["from", "leaving", "departing"])
TARGET: frozenset[str] = frozenset(listed("""to into onto towards toward arriving reaching for"""))

# What is counted with Roman numerals, single letters too: "World War I", "type V" (Chicago Manual of Style, 9.64).
COUNTED: frozenset[str] = frozenset(
    listed("war part type phase chapter book volume act title class level article appendix schedule")
)

# Which of its kind a noun means: by the determiner or the like right before it (Huddleston & Pullum, chapter 5).
PICKS: dict[str, str] = {
    form: picked
    for picked, forms in {
        "all": "all every each", "some": "any single", "most": "most",
        "this": "this these", "first": "first", "last": "last previous past", "next": "next upcoming coming",
        "tomorrow": "tomorrow", "yesterday": "yesterday",
    }.items()
    for form in forms.split()
}  # fmt: skip
PICKED_TIMES: frozenset[str] = frozenset(("this", "last", "next", "tomorrow", "yesterday"))

# "I don't know where it is" asks where it is: a negated word of these says nothing about the matter.
HEDGES: frozenset[str] = frozenset(
    listed("""know figure find understand sure remember see seem tell think believe recall certain clear want get""")
)

# The word after one of these is a verb, where English has far more synonyms than among nouns.
VERB_BEFORE: frozenset[str] = frozenset(
    listed(
        """i you we they he she it one to can could do does did should would will shall may might must cannot
        please not never don't can't won't didn't doesn't people anyone someone just really also be is are was
        were been am being get have has had i'm i've it's"""
    )
)

AUXILIARIES: frozenset[str] = frozenset(
    listed("can could do does did should would will shall may might must is are was were")
)
# What a question may open with: an auxiliary, a form of "be" or "have", also before its "n't".
OPENING_VERBS: frozenset[str] = AUXILIARIES | frozenset(listed("am have has had don won"))
QUESTION_WORDS: frozenset[str] = frozenset(listed("how why when where"))
WH_WORDS: frozenset[str] = QUESTION_WORDS | frozenset(listed("what which who whom whose"))

# Words in "-ly" that are no adverbs: they fill a slot like any noun or adjective (Quirk et al., 7.6 to 7.10).
NO_ADVERBS: frozenset[str] = frozenset(
    listed(
        """assembly family supply reply monopoly anomaly butterfly belly jelly bully ally rally folly lily fly
        friendly unfriendly ugly lonely lovely silly elderly costly deadly lively likely unlikely early curly oily
        holy melancholy chilly hilly woolly wobbly scholarly worldly heavenly orderly disorderly cowardly
        motherly fatherly brotherly plotly grammarly italy sicily july bitly"""
    )
)
