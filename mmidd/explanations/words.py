"""Word lists by which texts about faces are flagged: data. Alternatives of patterns, case aside; spaces are one blank."""

from __future__ import annotations


def _any(words: str) -> str:
    return "|".join(" ".join(each.split()).replace(" ", "[ -]") for each in words.split(","))


RACE = _any(
    """ethnic, ethnicity, ethnicities, ethnically, racial, racially, biracial, multiracial, interracial, mixed
    race, ancestry, heritage, nationality, caucasian, caucasians, caucasoid, negroid, mongoloid, negro, latino,
    latina, latinos, latinas, latinx, hispanic, hispanics, afro, african american, asian american, native
    american, indigenous, aboriginal, middle eastern, eurasian, mestizo, mulatto, oriental, westerner, people of
    colou?r, person of colou?r, melanated, jew, jews, muslim, muslims, moslem, islamic, hinduism, immigrant,
    immigrants, foreigner, foreign born, semitic"""
)
PEOPLES = _any(
    """asian, african, arab, arabic, arabian, chinese, japanese, korean, indian, pakistani, bangladeshi, nepali,
    vietnamese, filipino, filipina, thai, indonesian, malay, malaysian, mongolian, tibetan, mexican, brazilian,
    colombian, cuban, puerto rican, nigerian, ethiopian, kenyan, somali, ghanaian, moroccan, egyptian, turk,
    turkish, iranian, persian, iraqi, syrian, lebanese, israeli, palestinian, kurdish, afghan, afghani, german,
    french, italian, spanish, portuguese, greek, irish, englishman, englishwoman, british, scottish,
    scandinavian, swedish, norwegian, danish, dutch, russian, ukrainian, slavic, nordic, mediterranean,
    european, american, chicano, australian, maori, polynesian, caribbean, jamaican, jewish, hindu, sikh,
    buddhist, catholic, christian, romani, gypsy, hawaiian, samoan, melanesian, balinese, canadian"""
)
THINGS = _any(
    """braid, braids, ink, rug, rugs, carpet, maple, lantern, lanterns, flag, flags, shepherd, text, writing,
    characters?, letters?, script, restaurant, sign, signs, blinds?, food, bread, toast, window, windows, door,
    numerals?, accent, language, words?, cat, bulldog, coffee, tea, style, tie, summer, architecture, painting,
    paintings, art, sea"""
)
"""What may stand behind the name of a people that then says nothing of a person."""
HEALTH = _any(
    """health, healthy, unhealthy, healthier, unwell, sickly, sickness, illness, illnesses, disease, diseased,
    diseases, patient, patients, diagnosis, diagnosed, diagnose, diagnoses, symptom, symptoms, syndrome,
    disorder, disorders, disability, disabilities, disabled, handicapped, handicap, wheelchair, cancer,
    cancerous, tumou?r, tumou?rs, leukemia, chemotherapy, diabetes, diabetic, paralysis, paraly[sz]ed, palsy,
    autism, autistic, dementia, alzheimer'?s?, parkinson'?s?, epilepsy, epileptic, schizophrenia, schizophrenic,
    bipolar, anxiety disorder, psychosis, psychotic, mental illness, mentally ill, hiv, covid, coronavirus, flu,
    fever, feverish, infection, infected, infectious, jaundice, jaundiced, an[a]?emia, an[a]?emic, vitiligo,
    albinism, albino, alopecia, eczema, psoriasis, rosacea, acne, dermatitis, melasma, melanoma, lupus, leprosy,
    herpes, cataracts?, glaucoma, strabismus, conjunctivitis, ptosis, cleft lip, cleft palate, deaf, deafness,
    blindness, obese, obesity, overweight, underweight, anorexia, anorexic, bulimia, malnourished, malnutrition,
    pregnant, pregnancy, medication, medications, medicated, surgery, surgeries, botox, transplant, amputee,
    amputated, injury, injuries, injured, asthma, allergy, allergic, allergies, arthritis, sclerosis, stroke
    victim, dwarfism, gigantism, acromegaly, cushing'?s?, alcoholic, alcoholism, addict, addicted, addiction,
    drunk, intoxicated, hospitali[sz]ed, terminally ill"""
)
FAMOUS = _any(
    """tom cruise, barack obama, obama, donald trump, joe biden, biden, vladimir putin, putin, zelensky, zelenskyy,
    angela merkel, merkel, elon musk, taylor swift, nicolas cage, emma watson, scarlett johansson, morgan
    freeman, zuckerberg, kim kardashian, kardashian, angelina jolie, brad pitt, dicaprio, gal gadot, narendra
    modi, hillary clinton, bill clinton, george bush, theresa may, boris johnson, macron, xi jinping, kim jong
    un, steve jobs, bill gates, jeff bezos, jackie chan, bruce lee, keanu reeves, robert downey, chris evans,
    chris hemsworth, tom hanks, will smith, johnny depp, jennifer lawrence, jennifer aniston, natalie portman,
    emma stone, anne hathaway, meryl streep, oprah, oprah winfrey, beyonce, rihanna, ariana grande, justin
    bieber, lady gaga, madonna, michael jackson, cristiano ronaldo, ronaldo, lionel messi, messi, david beckham,
    albert einstein, marilyn monroe, elvis presley, mr\\.? bean, rowan atkinson, jim carrey, shah rukh khan,
    greta thunberg, pope francis, dalai lama, queen elizabeth, prince harry, prince william, meghan markle, kate
    middleton"""
)
"""Some of whom forgeries show most often: a name in small letters is told by this list alone."""
_SMALL = """a an the this that these those it its he him his she her hers they them their theirs we us our i me my you
your who which what where when why how is are was were be been being am do does did done have has had having
can could may might must shall should will would not no nor none nothing neither never without and or but if
then than so as at by for from in into of off on onto out over under to up with within about above across
after again against all also although among any around away back because before behind below beneath beside
between both down during each either else enough even ever every few first further here however just less
like look looks looked looking likely little many more most much near nearly next only other others overall
own part parts per perhaps possibly probably quite rather real really same second see seen seem seems
several since slight slightly some something somewhat still such suggests suggest there therefore they
though thus together too toward towards very well while whole yet yes one two three finally moreover
additionally furthermore instead despite give gives indicate indicates indicating show shows shown showing
appear appears appeared answer think conclusion reason reasons final"""
_FACES = """face faces facial person people man woman men women head hair hairline beard moustache skin eye eyes eyelid
eyelash eyebrow brow pupil iris glasses nose nostril mouth lip lips tooth teeth tongue chin cheek jaw
jawline forehead ear ears earring neck shoulder wrinkle pore expression smile gaze left right upper lower
top bottom side centre center middle corner area region picture photo photograph image video frame screen
paper print replay mask camera light lighting lit shadow highlight reflection specular colour color tone
texture pattern edge boundary border outline contour seam blend blending blur blurry blurred sharp sharpness
smooth smoothing noise grain artifact artefact compression pixel pixelation moire gaussian resolution
quality detail background scene wall depth geometry shape symmetry symmetric asymmetric symmetrical
asymmetry align alignment mismatch match consistent inconsistent inconsistency consistency natural unnatural
naturally normal abnormal strange odd unusual realistic authentic genuine fake real live spoof forged
forgery manipulated manipulation deepfake deep swap swapped synthetic generated generator attack genuine
evidence sign signs trace clear visible visibly distort distorted distortion warp warped flat glossy glare
bezel bent cutout flicker temporal jpeg hdr clip contrast bright brightness dark black white grey gray brown
red green blue yellow pink warm cool soft hard strong weak even uneven good bad high low fine rough local
global digital presentation analysis observation observations step summary note key feature features visual
cue cues face-swap image-based three-dimensional old young older younger adult child male female female's
wearing wear shirt hat clothing"""
ORDINARY = frozenset(f"{_SMALL} {_FACES}".split())
"""Words that are no names, whatever their case."""
