"""Words that turn a question into its opposite.

Sources: the antonym relation of Princeton WordNet (adjectives, verbs, adverbs, nouns) and the reciprocal roles
("converses") listed in grammars of English (Huddleston & Pullum, Quirk et al.): buyer / seller. A line holds two sides
of synonyms, each word of one against each word of the other. Regular opposites need no line: see ``AFFIXES``.
"""

from __future__ import annotations

from .lists import listed

_LINES = """
able - unable
above over - below under
absent - present
accept - reject refuse decline deny
accelerate - decelerate slow
achieve - fail
acquire - lose
add - remove delete subtract
addition - subtraction removal
admit - deny
advantage - disadvantage drawback
after - before prior
during - before after prior
agree - disagree
alive - dead
all - none
allow allowed allowing permit legal lawful - forbid forbidden prohibit prohibited ban banned illegal unlawful deny
always - never
amateur - professional
ancient - modern
angel - devil
appear - disappear vanish
approve - reject decline deny
arrive arrival - depart leave departure
ascend ascending - descend descending
asleep - awake
assemble - disassemble dismantle
asset - liability
attach - detach
attack - defend defense
attract - repel
backend - frontend
backward - forward
backwards - forwards
bad - good
beginning start - end ending
begin start - end stop finish
beginner - expert advanced
best - worst
broken - intact
if - unless
formal formally - casual casually informally
detailed - brief
better - worse
big large huge - small little tiny
bind - unbind
birth - death
bitter - sweet
black - white
bless - curse
block - unblock allow
borrow borrower - lend lender
bottom - top
bride - groom
bright - dark dim
broad wide - narrow
brother - sister
build - destroy demolish
bullish - bearish
busy - free idle
buy purchase buyer purchaser - sell seller vendor
buying - selling
calm - angry
uppercase capital - lowercase
cause - prevent
cheap - expensive costly
child - adult
clean - dirty
clear - opaque
clockwise - anticlockwise counterclockwise
close closed - open
cold cool - hot warm
combine merge - split separate divide
compile - decompile
complicated complex - simple
compress - decompress extract expand
conceal - reveal
connect - disconnect
constructive - destructive
consumer - producer
contract - expand
convergent - divergent
correct right - incorrect wrong
cost - benefit
crash - boom
create - delete destroy
creditor - debtor
credit - debit
dangerous risky - safe
day - night
daytime - nighttime
deactivate - activate
debtor - lender
decrease reduce lower lessen - increase raise
decrypt - encrypt
deep - shallow
defeat - victory win
defendant - plaintiff
demand - supply
dense - sparse
deposit - withdraw withdrawal
descendant - ancestor
difficult hard tough - easy simple
difficulty - ease
disable - enable
discharge - charge
divorce - marry
doctor - patient
domestic - foreign international
donor - recipient
downstairs - upstairs
downward - upward
dry - wet
dull - sharp
dynamic - static
early - late
early - delayed
earn - spend
east eastern - west western
employee - employer
empty - full
enemy - friend
enter entrance entry - exit leave
even - odd
evening - morning
exclude excluding - include including
exhale - inhale
explicit - implicit
export exporter - import importer
exterior - interior
external - internal
extrovert - introvert
fail failure - succeed success pass
fake - real genuine
false - true
fast quick rapid - slow
fat - thin
father dad - mother mom mum
female - male
feminine - masculine
finite - infinite
first - last
flexible - rigid
float - sink
forget - remember
forgive - blame
former - latter
last previous - next upcoming
archive - unarchive restore
keep retain - discard drop
greater - less lesser smaller fewer
freeze - melt unfreeze thaw
front - back rear
frequent - rare
gain gains profit - loss lose
generous - stingy
gentle - rough
girl - boy
girlfriend - boyfriend
graduate - undergraduate
grant - revoke deny
assign - unassign
long - brief
opaque - transparent
humid - arid
urban - rural
true - fictional
host - visitor
acid acidic - alkaline basic
boil boiling - freeze freezing
vertebrate - invertebrate
grandfather - grandmother
grow - shrink
guest - host
guilty - innocent
happy - sad unhappy
harm harmful - benefit beneficial
hate dislike - love like
heat - cool
heaven - hell
heavy - light
helpful - harmful
her - his
hero - villain
hide - show unhide reveal
high higher highest - low lower lowest
hire - fire
horizontal - vertical
husband - wife
imaginary - real
inbound - outbound
income - expense
incoming - outgoing
indoor indoors - outdoor outdoors
inferior - superior
input - output
inside - outside
install - uninstall
interviewer - interviewee
junior - senior
king - queen
landlord - tenant
landlady - tenant
leader - follower
left - right
less - more
least - most
lengthen - shorten
liberal - conservative
lock - unlock
login signin - logout signout
long - short
loose - tight
loud - quiet
man men - woman women
manual - automatic
many more - few fewer
major - minor
since - until till
friendly - hostile
master - slave
maximum max maximize - minimum min minimize
mortal - immortal
mount - unmount
multiply multiplication - divide division
mute - unmute
natural - artificial
near - far
negative - positive
nephew - niece
north northern - south southern
objective - subjective
obtain - lose
occupied - vacant
offline - online
offense - defense
old - young new
older oldest - younger youngest newer newest
on - off
open - shut
opponent - supporter
oppose against - support
optimist optimistic - pessimist pessimistic
optional - mandatory required compulsory
overweight - underweight
owner - renter
parent - child
partial - complete
passive - active
past - future
pause - resume continue
payer - payee
peace - war
permanent - temporary
physical - virtual
pin - unpin
plural - singular
plus - minus
polite - rude
poor poverty - rich wealthy wealth
popular - unpopular
postpaid - prepaid
powerful - powerless
predator - prey
private - public
pro pros - con cons
prove - disprove
pull - push
punish punishment - reward
qualitative - quantitative
raw - cooked
read - write
reader - writer
regular - irregular
release - hold
remote - local onsite
respect - disrespect
retail - wholesale
rise - fall
rough - smooth
safer safest - dangerous
save - spend
scarce scarcity - abundant abundance
sender - receiver recipient
send - receive
server - client
sick ill - healthy
sit - stand
son - daughter
soft - hard
solid - liquid
sour - sweet
strength - weakness
strong stronger strongest - weak weaker weakest
stupid dumb - smart intelligent clever
subscribe - unsubscribe cancel
summer - winter
sunrise - sunset
sync - unsync
synchronous - asynchronous
synonym - antonym
tall - short
teacher - student
thick - thin
tie - untie
tighten - loosen
together - apart
ugly - beautiful pretty
uncle - aunt
up - down
upper - lower
upside - downside
use - avoid
vague - precise
valid - invalid
vegan vegetarian - meat
victim - perpetrator
visible - hidden invisible
waste - save
winner win - loser lose
with - without
wireless - wired
zip - unzip
"""

# Two words that differ by exactly this at one end: "legal" / "illegal", "upload" / "download", "useful" / "useless".
NEGATIVE_PREFIXES: tuple[str, ...] = ("un", "in", "im", "il", "ir", "dis", "de", "non", "mis", "anti", "counter", "ab")
PREFIX_PAIRS: tuple[tuple[str, str], ...] = (
    ("up", "down"), ("over", "under"), ("in", "out"), ("im", "ex"), ("in", "ex"), ("en", "de"), ("pre", "post"),
    ("inter", "intra"), ("hyper", "hypo"), ("max", "min"), ("macro", "micro"), ("super", "sub"), ("anti", "pro"),
    ("multi", "single"), ("mono", "poly"), ("homo", "hetero"), ("en", "dis"), ("as", "dis"), ("at", "de"), ("ac", "de"),
    ("in", "de"), ("ex", "in"), ("on", "off"), ("for", "back"), ("in", "off"), ("endo", "exo"), ("uni", "bi"),
    ("em", "dis"), ("com", "decom"), ("under", "post"), ("some", "no"), ("any", "no"), ("every", "no"),
)  # fmt: skip
SUFFIX_PAIRS: tuple[tuple[str, str], ...] = (("ful", "less"), ("er", "ee"), ("or", "ee"), ("proof", "prone"))
PREFIXES: frozenset[str] = frozenset(NEGATIVE_PREFIXES) | {prefix for pair in PREFIX_PAIRS for prefix in pair}
SUFFIXES: frozenset[str] = frozenset(suffix for pair in SUFFIX_PAIRS for suffix in pair)


# These are opposites as particles ("turn it off") and mere prepositions elsewhere: they count between texts that
# hardly differ otherwise.
PARTICLES: frozenset[str] = frozenset(
    listed("""on off up down over under with without left right her his inside outside if unless""")
)


def pairs() -> list[tuple[str, str]]:
    """Return every listed pair once."""
    found: list[tuple[str, str]] = []
    for line in _LINES.split("\n"):
        left, _, right = line.partition(" - ")
        found.extend((a, b) for a in left.split() for b in right.split())
    return found
