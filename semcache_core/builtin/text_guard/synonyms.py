"""Groups of words that ask for the same thing. Source: common synsets of Princeton WordNet, everyday senses only.

The last ones are spellings of one word (British and American English), names of one substance (INN and USAN) and
common abbreviations (Unicode CLDR, Oxford style). A group must hold in any question: a narrower word ("laptop" for
"computer") or a word of another sense does not belong.
Words of one stem ("book", "books", "booking") need no group.
"""

from __future__ import annotations

_LINES = """
achieve accomplish attain reach
additional extra
advantage benefit pro upside
disadvantage drawback con downside
aid assist assistance
allow permit let
amount quantity sum
annoying irritating
apartment flat
arrive delivered
automobile car
autumn fall
avoid prevent stop
ban prohibit forbid
beautiful pretty
begin start commence launch
bike bicycle
big large huge larger
bill invoice
boost increase improve enhance raise
boss manager
broken damaged
build construct create
buy purchase order
career job profession occupation
cancel abort terminate end discontinue
cause causes reason
cellphone phone mobile smartphone cell
change modify alter edit update switch adjust turn
cheap inexpensive affordable
child kid
choose select pick
clever smart intelligent
colleague coworker
college university
combine merge
company firm business corporation
compute calculate determine
confirm verify validate
contact reach
correct fix rectify
costly expensive
country nation
couch sofa
crash collapse
cure treat treatment remedy heal
decline reject refuse deny
decrease reduce lower lessen
delay postpone
delete remove erase eliminate rid
dentist dental
deposit payin
desire want
destroy demolish
develop evolve
difference differ distinction different
difficult hard tough challenging
display show
doctor physician
earth world
earn make
employ hire
enable activate
disable deactivate
error mistake fault
essential necessary required crucial vital mandatory compulsory obligatory
examination exam test
exit leave quit
fast quick rapid speedy quicker
fee charge cost price
film movie
finish complete
flatmate roommate
fridge refrigerator
function feature
funny humorous hilarious
garbage trash rubbish waste
gain obtain acquire receive
gift present
glad happy
gym workout
habit routine
holiday vacation
home house
human humans
identify recognize
identity identification id
illness disease sickness
immediately instantly asap soon straightaway
important significant
information info data
insane crazy mad
job employment
journey trip travel
keep retain maintain
lawyer attorney
learn study
less lesser fewer
length duration
level rating
lift elevator
limit maximum max cap
link connect
locate find
location place where
lorry truck
lose misplace
lost missing stolen
maths math mathematics
medicine medication drug
meet encounter
mom mother mum
dad father
money cash fund funds
near close nearby
noise sound
notebook laptop
occur happen
old aged
opinion view thought
option choice alternative
outcome result
overweight fat obese
pants trousers
password passcode
pay payment
perform execute run
personal own
picture photo photograph image
plane airplane aircraft
popular famous
possible feasible
power electricity
pregnant pregnancy
problem issue trouble
program programme
quit stop cease
rank ranking
receive get
refund reimbursement
remain stay
rent lease
reply respond response
require need
reset restore
restaurant eatery
retailer merchant shop store
rich wealthy
ring bell
road street
rotate spin
sad unhappy upset depressed
salary pay wage
save store
schedule timetable
screen display
send transmit
serious severe
shut close
sick ill
sign symptom
sleepy tired
song track
speak talk
spouse partner
start begin
startup start-up
stomach belly tummy abdomen abdominal
strange weird odd
stupid dumb foolish
subway metro underground
suggest recommend propose
supermarket grocery
survive live
taxi cab
teach instruct
term phrase
thesis dissertation
topup recharge
email mail mailbox
transfer transaction move
translate convert
try attempt
tv television
ugly unattractive
use utilize employ apply
wedding marriage
website site webpage
whole entire
win victory
write compose
wrong incorrect
yearly annual annually
zip postal
usa america
uk britain
europe eu
position stance
line sentence
show series
yummy tasty delicious
permission consent
approve authorize authorise
accept approve
operate function
wait pending
advertisement ad advert commercial
kind type sort
view watch see
effect affect impact influence
require necessary
girl woman lady
boy guy man
grey gray
licence license
aluminium aluminum
cheque check
tire tyre
mould mold
jewellery jewelry
defence defense
offence offense
practise practice
judgment judgement
enquiry inquiry
pyjamas pajamas
kerb curb
storey story
draught draft
plane aeroplane
paracetamol acetaminophen
salbutamol albuterol
postgres postgresql
javascript js
government govt
department dept
appointment appt
account acct
password pwd
saint st
mount mt
doctor dr
engine motor
exercise workout training
sort arrange
folder directory
database db
typescript ts
dictionary dict
repository repo
configuration config
administrator admin
documentation docs
bc bce
tbsp tablespoon
tsp teaspoon
computer pc
usd dollar
eur euro
gbp sterling
jpy yen
inr rupee
cny yuan renminbi rmb
chf franc
btc bitcoin
eth ethereum
chat conversation
kb kilobyte
mb megabyte
gb gigabyte
tb terabyte
km kilometer
cm centimeter
mm millimeter
kg kilogram kilo
mg milligram
ml milliliter
revenue sales turnover
"""


def groups() -> list[list[str]]:
    """Return the groups; a word keeps the first group that names it, so that groups never run together."""
    return [line.split() for line in _LINES.strip().split("\n")]
