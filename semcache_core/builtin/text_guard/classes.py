"""Sets of names of which one never stands for another: two members, one in each text, are two questions.

Sources, per set: ISO 3166 and Unicode CLDR ``territories`` (countries, with their demonyms, and states of
federations), UN World Urbanization Prospects (large cities) and capitals of the UN member states, ISO 639 and CLDR
``languages``, ISO 4217 (currencies), CLDR ``gregorian`` (months, weekdays), WHO Model List of Essential Medicines and
the INN list (medicines), WHO ICD-11 (common diseases), the IUPAC periodic table, the IAU list of planets, WordNet
hyponyms (colours, animals, body parts, food, relatives, instruments, sports), the PYPL and TIOBE indices (programming
languages), DB-Engines (databases), Wikipedia's lists of operating systems, large companies, social networks and world
religions, subscription tiers in common use.
"""

from __future__ import annotations

from .lists import listed

SETS: dict[str, str] = {
    "country": """afghanistan albania algeria andorra angola argentina armenia australia austria azerbaijan
        bahamas bahrain bangladesh barbados belarus belgium belize benin bhutan bolivia bosnia botswana brazil
        brunei bulgaria burundi cambodia cameroon canada chad chile china colombia congo croatia cuba cyprus
        czechia denmark djibouti ecuador egypt england eritrea estonia ethiopia fiji finland france gabon
        gambia georgia germany ghana greece guatemala guinea guyana haiti honduras hungary iceland india
        indonesia iran iraq ireland israel italy jamaica japan jordan kazakhstan kenya korea kosovo kuwait
        kyrgyzstan laos latvia lebanon lesotho liberia libya lithuania luxembourg madagascar malawi malaysia
        maldives mali malta mauritania mauritius mexico moldova monaco mongolia montenegro morocco mozambique
        myanmar namibia nepal netherlands nicaragua niger nigeria norway oman pakistan palestine panama
        paraguay peru philippines poland portugal qatar romania russia rwanda scotland senegal serbia
        singapore slovakia slovenia somalia spain sudan suriname sweden switzerland syria taiwan tajikistan
        tanzania thailand togo tunisia turkey turkmenistan uganda ukraine uruguay uzbekistan vatican venezuela
        vietnam wales yemen zambia zimbabwe africa asia europe usa uk uae america britain""",
    "city": """abidjan accra addis ahmedabad algiers amman amsterdam ankara athens atlanta auckland
        austin baghdad baku baltimore bangalore bangkok barcelona beijing beirut belgrade bengaluru berlin
        birmingham bogota boston brasilia bratislava brisbane brussels bucharest budapest busan cairo calcutta
        canberra caracas casablanca charlotte chennai chicago cleveland cologne colombo copenhagen dakar
        dallas damascus delhi denver detroit dhaka doha dubai dublin dusseldorf edinburgh florence frankfurt
        geneva glasgow guangzhou hamburg hanoi harare havana helsinki houston hyderabad islamabad istanbul
        jakarta jeddah jerusalem johannesburg kabul karachi kathmandu khartoum kiev kinshasa kolkata krakow
        kyiv kyoto lagos lahore leeds lima lisbon liverpool ljubljana london luanda lyon madrid manchester
        manila marseille medellin melbourne memphis miami milan milwaukee minneapolis montevideo montreal
        moscow mumbai munich nagoya nairobi naples nashville oakland orlando osaka oslo ottawa oxford paris
        perth philadelphia phoenix pittsburgh portland prague pune quito riga riyadh rome rotterdam sacramento
        santiago sapporo sarajevo seattle seoul shanghai shenzhen sofia stockholm stuttgart surat sydney
        taipei tallinn tampa tashkent tbilisi tehran tokyo toronto tripoli tunis turin vancouver venice vienna
        vilnius warsaw wellington wuhan yangon yerevan yokohama zagreb zurich york francisco angeles vegas
        diego orleans kong jersey""",
    "state": """alabama alaska arizona arkansas california colorado connecticut delaware florida hawaii idaho
        illinois indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota
        mississippi missouri montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas utah
        vermont virginia wisconsin wyoming ontario quebec alberta manitoba saskatchewan queensland tasmania
        bavaria saxony hesse catalonia andalusia kerala punjab rajasthan""",
    "people": """afghan african albanian algerian american arab argentinian armenian asian australian
        austrian belgian brazilian british bulgarian canadian chilean chinese colombian croatian cuban czech
        danish dutch egyptian english estonian ethiopian european filipino finnish french german ghanaian
        greek hungarian icelandic indian indonesian iranian iraqi irish israeli italian jamaican japanese
        jordanian kenyan korean kuwaiti latvian lebanese lithuanian malaysian mexican mongolian moroccan
        nepali nigerian norwegian pakistani persian peruvian polish portuguese romanian russian saudi scottish
        serbian slovak slovenian spanish swedish swiss syrian taiwanese thai tunisian turkish ukrainian
        vietnamese welsh arabic bengali cantonese catalan esperanto farsi gujarati hebrew hindi javanese
        kannada latin malay malayalam mandarin marathi punjabi sanskrit swahili tagalog tamil telugu urdu
        yoruba zulu""",
    "currency": "usd eur gbp jpy inr cad aud chf cny nzd sek nok dkk krw brl mxn zar rub sgd hkd thb pln dollar euro "
    "pound yen yuan rupee franc peso bitcoin ethereum litecoin dogecoin",
    "month": " ".join(f"month{n}" for n in range(1, 13)),
    "weekday": "monday tuesday wednesday thursday friday saturday sunday",
    "season": "spring summer autumn winter",
    "daytime": "morning noon afternoon evening midnight",
    "period": "hourly daily weekly biweekly fortnightly monthly quarterly yearly",
    "relative": "yesterday today tomorrow tonight",
    "direction": "north south east west northern southern eastern western",
    "medicine": """paracetamol acetaminophen ibuprofen aspirin naproxen diclofenac codeine morphine tramadol
        fentanyl oxycodone hydrocodone amoxicillin penicillin azithromycin ciprofloxacin doxycycline
        metronidazole cephalexin clindamycin metformin insulin glipizide atorvastatin simvastatin lisinopril
        losartan amlodipine metoprolol atenolol furosemide warfarin heparin clopidogrel omeprazole
        pantoprazole ranitidine loratadine cetirizine diphenhydramine salbutamol albuterol prednisone
        prednisolone dexamethasone hydrocortisone levothyroxine sertraline fluoxetine citalopram escitalopram
        paroxetine venlafaxine bupropion amitriptyline diazepam lorazepam alprazolam clonazepam zolpidem
        lithium quetiapine olanzapine risperidone haloperidol gabapentin pregabalin carbamazepine lamotrigine
        phenytoin methotrexate tamoxifen acyclovir oseltamivir fluconazole ivermectin chloroquine
        hydroxychloroquine sildenafil finasteride melatonin adderall ritalin viagra prozac zoloft xanax
        tylenol advil""",
    "disease": """acne aids alzheimer anemia anxiety arthritis asthma autism bronchitis cancer chickenpox
        cholera cold dementia depression diabetes eczema epilepsy flu gastritis gout herpes hepatitis
        hypertension hypotension influenza leukemia lupus malaria measles migraine mumps obesity osteoporosis
        parkinson pneumonia polio psoriasis rabies scoliosis stroke tetanus tuberculosis typhoid ulcer""",
    "element": """hydrogen helium beryllium boron carbon nitrogen oxygen fluorine neon sodium magnesium
        aluminium aluminum silicon phosphorus sulfur chlorine argon potassium calcium titanium chromium
        manganese iron cobalt nickel copper zinc gallium bromine krypton silver tin iodine xenon tungsten
        platinum gold mercury lead radon radium uranium plutonium""",
    "planet": "venus earth mars jupiter saturn uranus neptune pluto moon sun",
    "colour": "red orange yellow green blue purple violet pink brown black white grey gray turquoise beige",
    "animal": """dog cat horse cow pig sheep goat chicken duck rabbit hamster mouse rat lion tiger bear
        wolf fox elephant giraffe zebra monkey snake lizard turtle frog fish shark whale dolphin spider ant
        bee butterfly eagle owl parrot penguin puppy kitten""",
    "body": """head neck shoulder arm elbow wrist hand finger chest back stomach hip leg knee ankle foot
        toe eye ear nose mouth tooth tongue throat lung heart liver kidney brain skin hair""",
    "food": """apple banana orange lemon grape strawberry mango potato tomato onion garlic carrot
        cucumber rice pasta bread pizza burger soup salad cheese butter milk egg chicken beef pork fish salmon
        tuna shrimp coffee tea beer wine juice water sugar salt honey chocolate""",
    "reversal": "reverse reversed inverse inverted",
    "aggregate": "count sum average median variance",
    "instrument": "piano guitar violin cello flute drum trumpet saxophone ukulele harp clarinet",
    "sport": """football soccer basketball baseball tennis cricket hockey rugby golf swimming volleyball
        badminton boxing wrestling skiing cycling""",
    "relation": """mother mom father dad brother sister son daughter uncle aunt cousin grandfather grandmother
        husband wife boyfriend girlfriend nephew niece parent child baby toddler grandparent grandchild grandson
        granddaughter stepmother stepfather stepson stepdaughter motherinlaw fatherinlaw brotherinlaw sisterinlaw
        soninlaw daughterinlaw spouse ex fiance boss colleague coworker neighbor""",
    "religion": """christianity islam judaism hinduism buddhism sikhism christian muslim jew jewish hindu
        buddhist catholic""",
    "programming": """python java javascript typescript golang rust ruby php perl kotlin swift scala haskell
        fortran cobol matlab c++ c# f# julia lua""",
    "database": "mysql postgresql postgres sqlite mongodb redis cassandra elasticsearch mariadb dynamodb neo4j couchdb",
    "system": "windows linux macos ubuntu debian fedora centos android ios chromeos freebsd",
    "framework": "django flask fastapi rails laravel spring react angular vue svelte nextjs express pytorch tensorflow",
    "company": """google apple microsoft amazon facebook netflix tesla intel nvidia samsung sony ibm oracle
        nokia uber airbnb walmart toyota honda bmw audi ford volkswagen""",
    "service": """gmail outlook slack teams zoom discord skype whatsapp telegram signal instagram twitter
        tiktok snapchat linkedin pinterest reddit youtube quora notion trello jira asana dropbox photoshop
        excel word powerpoint spotify github gitlab bitbucket""",
    "cloud": "aws azure gcp heroku",
    "browser": "chrome firefox safari opera edge",
    "card": "visa mastercard amex maestro",
    "tier": """free basic standard premium enterprise student starter pro plus professional business
        family individual trial economy deluxe ultimate""",
    "subject": """physics chemistry biology mathematics economics history geography philosophy psychology
        sociology astronomy geology medicine law engineering literature""",
    "branch": "mechanical electrical civil chemical aerospace computer industrial biomedical electronics software",
    "size": "small medium large",
    "format": "pdf docx csv json xml yaml html png jpeg gif svg mp4 avi wav",
    "ordinal": """#1 #2 #3 #4 #5 #6 #7 #8 #9 #10 #11 #12 #13 #14 #15 #16 #17 #18 #19 #20 last""",
    "device": "laptop desktop tablet smartphone smartwatch printer router keyboard monitor",
    "meal": "breakfast lunch dinner",
    "room": "bedroom bathroom kitchen garage basement attic",
    "document": "passport visa licence license certificate",
}

# Sets of proper names: such a name in one text only is already another question.
NAMED: frozenset[str] = frozenset(
    listed("""country city people currency month weekday medicine programming database system reversal relation""")
)
