# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everyday English outside the tabletop world: names of absent things, and common words.

`NOUNS` are things that never occur in a scene; the grammar asks for them to teach "not there".
`COMMON` only widens the tokenizer's vocabulary.
"""
_NOUNS = """
bicycle keyboard laptop phone book chair lamp shoe hat dog cat bird car truck bus train airplane
boat tree flower spoon fork knife scissors hammer screwdriver wrench pen pencil clock watch
umbrella bag backpack wallet key guitar drum piano violin trumpet sandwich bread cheese egg grape
candle mirror pillow blanket towel sock glove shirt jacket dress doll puzzle kite toothbrush comb
soap sponge brush remote television printer mouse monitor speaker microphone headphones tablet
charger battery lightbulb fan heater oven fridge microwave toaster kettle pan pot lid ladle whisk
grater sieve straw broom mop vacuum ladder chain hook nail screw bolt nut spring gear wheel tire
engine drill saw pliers shovel rake glue tape ruler eraser stapler notebook envelope stamp
newspaper magazine vase statue trophy medal coin ring necklace bracelet earring crown helmet mask
scarf tie belt boot sandal slipper suitcase tent rocket skateboard scooter motorcycle tractor
helicopter ship anchor horse cow pig sheep goat chicken duck rabbit monkey elephant lion tiger
bear wolf fox deer snake frog turtle fish shark whale dolphin crab spider bee butterfly ant snail
dinosaur dragon snowman pizza burger cake cookie donut chocolate candy cereal steak sausage potato
onion garlic pepper cucumber pumpkin mushroom broccoli cabbage lettuce corn bean pea rice noodle
strawberry cherry pear pineapple mango coconut lemon melon peanut honey butter yogurt popcorn
pretzel waffle pancake sofa bed desk shelf cabinet curtain carpet door fence bridge tower castle
house telescope microscope calculator joystick puppet whistle bell flag racket bat net goal
glasses sunglasses perfume lipstick razor bandage pill syringe thermometer
"""

_COMMON = """
able about above accept across act add afraid after again against age ago agree air allow almost
alone along already also although always among amount and angry animal another answer any anyone
appear area arm around arrive art as ask asleep at attach autumn baby bad bake bank bar base bath
be beach beautiful became because become before began begin behave believe below bend best better
beyond big bit bite blood blow blue board body bone both bottom brain brave break breakfast
breathe bright broken brother brown build building burn busy but buy by call calm came care
careful carry catch cause center century chance change cheap check choose circle city class clean
clear climb close closed cloth cloud coat cold collect color come common compare complete contain
continue cook cool copy corner correct cost count country couple course cover crack crash cream
cross crowd cry curve cut daily damage dance danger dark daughter day dead deal dear decide deep
degree describe destroy detail develop different difficult dinner direction dirty discover dish
distance divide doctor done double doubt down draw dream drive drop dry during dust each ear early
earth east edge effect eight either electric else empty end enemy energy enjoy enough enter equal
escape even evening event ever every exact example excellent exercise expect expensive explain
extra eye face fact fair fall family famous far farm fast fat father fear feed feel feet fell felt
few field fight fill final fine finger finish fire first fit five fix floor fly fold follow food
foot force forest forget form forward found four free fresh friend front full fun funny future
game gap garden gas gave gentle get girl glad glass go gold gone good great grey ground group grow
guess guide hair half hall hand handle hang happen happy hard hate have head health hear heart
heat heavy height held hello help her here hide high hill him his hit hold hole holiday home
honest hope hospital hot hour how huge human hundred hurry hurt husband ice idea if important in
inch include increase inside instead interest into invite iron island it job join joke jump just
keep kept kid kill kind king kitchen knee knew knock know lady lake land language large last late
laugh law lay lazy lead leaf learn least leather leave left leg length less lesson let letter
level lie life lift light like line lip liquid list listen little live local lock long look loose
lose lost lot loud love low luck lunch machine made mail main make man many mark market marry
match material matter may maybe meal mean measure meat meet melt member mention metal method
middle might mile milk million mind minute miss mistake mix model modern moment money month moon
more morning most mother mountain mouth move much mud music must name narrow nation nature near
neat neck need neither never new news next nice night nine noise none noon nor north nose not note
nothing notice now number ocean odd of off offer office often oil old on once one only onto open
opposite or order other our out outside over own page pain paint pair paper parent park part party
pass past path pattern pause pay peace people perfect perhaps period person piece pink place plain
plan plant plastic play please plenty point police polite poor popular position possible pour
power practice prepare present press pretty price print prize problem produce promise proper
protect proud prove public pull pure push put quality queen question quick quiet quite race radio
rain raise ran reach read ready real reason receive record refuse remain remember remove rent
repair repeat reply rest result return rich ride right rise risk river road rock roll room root
rough round row rubber rule run rush sad safe said sail salt same sand save say scale school
science sea search season seat second secret see seem sell send sense separate serious serve set
seven several shade shadow shake shape share sharp she shelf shell shine shiny shop short should
shoulder shout show shut sick side sight sign signal silent silver similar simple since sing
single sister sit six size skill skin sky sleep slide slow small smart smell smile smoke smooth
snow so soft soil some son song soon sorry sort sound south space speak special speed spell spend
spin spot spread square stage stand star start state station stay steal steam steel step stick
still stomach stone stop store storm story straight strange street strong student study such
sudden sugar suit summer sun sure surface surprise sweet swim table tail take talk tall task taste
teach team tear tell ten test than thank that their them then there these they thick thin think
third this those though thought thousand thread three through throw thumb ticket tight time tiny
tired title to today together tomorrow tongue tool tooth top touch toward town trade traffic
travel treat triangle trip trouble true trust try turn twelve twenty twice two type ugly uncle
under understand unit until up upper upside use useful usual valley value very view village visit
voice wait wake walk want warm wash waste watch water wave way weak wear weather week weight
welcome well went west wet what when while who whole why wide wife wild will win wind wing winter
wire wise wish with without woman wonder wood word work world worry worse worth would write wrong
yard year yes yet you young your
"""

NOUNS: tuple[str, ...] = tuple(_NOUNS.split())
COMMON: tuple[str, ...] = tuple(_COMMON.split())
