"""The scenes of the taxonomy: source table of `build_taxonomy.py`.

A line is `name | parents | ImageNet-1k classes | what a caption would call it; another | conditions`, as for objects;
the conditions, if any, are pixel rules (`luminance_p50 > 0.3 ~ 0.05`) that must hold too. A description that starts
with a preposition ("in a kitchen") becomes "a photo taken in a kitchen.".

Classes are of things, so a scene gets only those that are hardly ever photographed elsewhere: a refrigerator \
    stands in
a kitchen, but a toaster is mostly a product photo. No class says that it is night, that there is a forest or a \
    street.
"""

SCENES = """
# setting
indoor | - | 416 423 453 495 548 602 702 799 865 877 894 | indoors; inside a building; an indoor scene
outdoor | - | 10-20 22-23 80-86 92 94-95 97-100 127-144 146-148 269-275 277-280 291-297 299 319-326 330-331 \
    335-336 340 344-354 385-386 404 407 410 425 436 442 448-449 460 468 472 483-484 497 510 517 538 554-555 557 \
    562 569 575 595 603 609 612 621 625 628 637 645-646 649 654 656 663 668 671 682 690 693-694 698 701 704 \
    716-717 724 730 733 757 779-780 802 807 814-815 821 825 829 832 839 853 856 858 863-864 866-867 871 873-874 \
    888 895 900 912-914 919-920 984-986 989-990 992-996 | outdoors; in the open air; an outdoor scene
urban | outdoor | 704 829 874 920 | in a city; an urban scene; streets and buildings of a town
rural | outdoor | 690 730 | in the countryside; a rural scene; farmland and villages
suburban | outdoor | - | in a suburb; a suburban neighbourhood with houses and gardens
natural landscape | outdoor | - | a natural landscape; scenery without buildings

# time of day
daytime | - | = outdoor | by day; during the day in daylight; a daytime scene \
    | luminance_p50 > 0.24 ~ 0.03, luminance_p95 > 0.6 ~ 0.05, border_black < 0.3 ~ 0.05, chroma > 0.04 ~ 0.01
nighttime | - | - | at night; a night scene with artificial lights
dawn | - | - | at dawn; at first light in the early morning
dusk | - | - | at dusk; in the evening after sunset
sunrise | dawn | - | at sunrise; the sun rising above the horizon
sunset | dusk | - | at sunset; the sun setting with an orange sky
golden hour | - | - | at golden hour; in warm low sunlight
blue hour | - | - | at blue hour; under a deep blue evening sky

# weather and season
sunny | outdoor | - | on a sunny day; in bright sunshine
clear sky | outdoor | - | under a clear blue sky; a cloudless sky
cloudy | outdoor | - | on a cloudy day; under scattered clouds
overcast | outdoor | - | under an overcast grey sky; on a dull day
rainy | outdoor | - | in the rain; on a rainy day; a wet street in rain
stormy | outdoor | - | in a storm; dark storm clouds
lightning | stormy | - | lightning in the sky; a thunderstorm at night
foggy | outdoor | - | in fog; a foggy scene with low visibility
hazy | outdoor | - | in haze; a hazy or smoggy view
snowy | outdoor | 450 537 795 802-803 | in snow; a snowy scene; the ground covered with snow
icy | outdoor | - | on ice; a frozen surface
windy | outdoor | - | in strong wind; trees bending in the wind
dusty | outdoor | - | in dust; a sandstorm
rainbow | outdoor | - | a rainbow; a rainbow in the sky
spring season | outdoor | - | in spring; blossoming trees
summer season | outdoor | - | in summer; a warm summer day
autumn season | outdoor | - | in autumn; trees with red and yellow leaves
winter season | outdoor | - | in winter; a cold winter day

# land
mountain | natural landscape | 970 | in the mountains; a mountain landscape; a snowy peak
hill | natural landscape | - | in the hills; green rolling hills
valley | natural landscape | 979 | in a valley; a valley between mountains
cliff | natural landscape | 972 | at a cliff; a steep rock face
canyon | natural landscape | - | in a canyon; a deep gorge
volcano | natural landscape | 980 | at a volcano; a volcano that smokes or erupts
geyser | natural landscape | 974 | at a geyser; a geyser of hot water and steam
desert | natural landscape | - | in a desert; sand dunes under a blue sky
forest | natural landscape | - | in a forest; woods with tall trees
jungle | forest | - | in a jungle; a dense tropical rainforest
meadow | natural landscape | - | in a meadow; grass with wild flowers
grassland | natural landscape | - | in grassland; a savanna with scattered trees
tundra | natural landscape | - | in the tundra; an arctic landscape
glacier | natural landscape | - | at a glacier; a field of ice
cave | - | - | in a cave; inside a dark cavern
wetland | natural landscape | - | in a wetland; a swamp or marsh
rocky terrain | natural landscape | - | on rocky ground; a terrain of bare rocks
sky | - | - | in the sky; a view of only the sky
starry sky | nighttime | - | under a starry sky; stars or the milky way

# water
beach | coast | 978 | at a beach; a sandy beach by the sea
coast | outdoor | 976-977 | at the coast; a rocky seashore
ocean | outdoor | - | at sea; the open ocean with waves
lake | outdoor | 975 | at a lake; a lake with calm water
river | outdoor | - | at a river; a river with its banks
waterfall | outdoor | - | at a waterfall; water falling over rocks
pond | outdoor | - | at a pond; a small pond with plants
underwater | - | 109 973 983 | under water; an underwater scene; in a coral reef
harbor | outdoor | 536 | in a harbor; boats in a port
pier | outdoor | 718 | on a pier; a pier that leads into the water
canal | outdoor | 576 | at a canal; a canal between houses
dam | outdoor | 525 | at a dam; a dam of a reservoir
swimming pool | - | - | at a swimming pool; a pool with blue water
island | outdoor | - | on an island; a small island in the sea

# home
home interior | indoor | 789 827 905 | inside a home; a room of a house
kitchen | home interior | 534 651 760 | in a kitchen; a kitchen with cupboards and a stove
bathroom | home interior | 435 648 794 861 896 999 | in a bathroom; a bathroom with a sink and a mirror
bedroom | home interior | 564 | in a bedroom; a room with a bed
living room | home interior | 598 831 | in a living room; a room with a couch
dining room | home interior | 532 | in a dining room; a set dining table
nursery | home interior | 431 516 520 | in a nursery; a room with a crib for a baby
laundry room | home interior | 897 | in a laundry room; a washing machine in a room
hallway | indoor | - | in a hallway; a long corridor
staircase | indoor | - | on a staircase; stairs inside a building
garage | indoor | - | in a garage; a garage with tools and a car
attic | home interior | - | in an attic; a room under the roof
basement | indoor | - | in a basement; a cellar
balcony | - | - | on a balcony; a balcony with a railing
backyard | outdoor | - | in a backyard; a garden behind a house
garden | outdoor | - | in a garden; a garden with flowers and hedges
patio | outdoor | 706 | on a patio; a terrace with tables and chairs

# work and learning
office | indoor | 526-527 553 | in an office; a desk with a computer
meeting room | indoor | - | in a meeting room; people around a conference table
classroom | indoor | - | in a classroom; a school room with desks
lecture hall | indoor | - | in a lecture hall; rows of seats before a stage
library | indoor | 624 | in a library; shelves full of books
laboratory | indoor | - | in a laboratory; scientists at a bench
workshop | indoor | - | in a workshop; a bench with tools
data center | indoor | - | in a data center; racks of servers
studio | indoor | - | in a photo studio; a plain studio backdrop
kindergarten | indoor | - | in a kindergarten; a play room for children

# shops and food service
store | indoor | 454 467 509 788 860 865 | in a store; shelves with goods; inside a shop
supermarket | store | 582 | in a supermarket; an aisle of a grocery store
clothing store | store | - | in a clothing store; racks of clothes for sale
bakery | store | 415 | in a bakery; bread and pastries on display
pharmacy | store | - | in a pharmacy; shelves with medicine
shopping mall | indoor | - | in a shopping mall; a large mall with several floors
market | - | - | at a market; stalls with fruit and vegetables
checkout | store | - | at a checkout; a cash desk in a store
retail shelf | store | - | in front of a retail shelf; products in rows on a shelf
warehouse | indoor | - | in a warehouse; high racks with pallets
restaurant | - | 762 | in a restaurant; a restaurant with set tables
cafe | restaurant | - | in a cafe; a coffee shop
bar | indoor | - | in a bar; a counter with bottles
food stall | - | - | at a food stall; street food
commercial kitchen | indoor | - | in a commercial kitchen; cooks in a restaurant kitchen
hair salon | indoor | 424 | in a hair salon; a barber shop
gas station | outdoor | 571 | at a gas station; fuel pumps

# roads and traffic
street | urban | - | in a street; a city street with cars
residential street | street | - | in a residential street; houses along a quiet street
alley | urban | - | in an alley; a narrow lane between buildings
road | outdoor | - | on a road; a road that leads to the horizon
highway | road | - | on a highway; a motorway with several lanes
country road | road | - | on a country road; a road between fields
dirt road | road | - | on a dirt road; an unpaved track
intersection | street | - | at an intersection; a crossing of two roads
roundabout | road | - | at a roundabout; a traffic circle
pedestrian crossing | street | - | at a pedestrian crossing; people crossing the street
parking lot | outdoor | - | in a parking lot; rows of parked cars
parking garage | - | - | in a parking garage; cars on a parking deck
tunnel | - | - | in a tunnel; a road tunnel with lights
road bridge | outdoor | - | on a bridge; a road over a bridge
traffic jam | road | - | in a traffic jam; many cars waiting in heavy traffic
roadworks | road | - | at roadworks; a road under construction with barriers
toll booth | road | - | at a toll booth; a toll station
bike lane | street | - | on a bike lane; a path for bicycles
sidewalk | urban | - | on a sidewalk; people on the pavement
bus stop | urban | - | at a bus stop; people waiting for a bus
vehicle interior | - | - | inside a vehicle; the interior of a car with a steering wheel
dashcam view | road | - | through the windshield of a car; a dashcam picture of the road ahead

# rail, air and sea traffic
railway | outdoor | 547 565 705 820 | on a railway; railway tracks
train station | - | - | in a train station; a platform with a train
subway station | indoor | - | in a subway station; an underground platform
airport | - | - | at an airport; planes on the tarmac
airport terminal | indoor | - | in an airport terminal; travellers waiting at a gate
runway | airport | - | on a runway; a plane on the runway
aircraft cabin | vehicle interior | - | in an aircraft cabin; rows of seats in a plane
container port | harbor | - | in a container port; cranes and shipping containers
train interior | vehicle interior | - | inside a train; seats in a railway car

# city and culture
city skyline | urban | - | a city skyline; tall buildings against the sky
downtown | urban | - | in a downtown district; office towers
plaza | urban | - | on a plaza; a public square
park | outdoor | 703 | in a park; a public park with paths and lawns
playground | outdoor | 843 | on a playground; swings and a slide
old town | urban | - | in an old town; historic buildings
ruins | outdoor | 649 | at ruins; the remains of an old building
monument | outdoor | - | at a monument; a memorial
cemetery | outdoor | - | in a cemetery; grave stones
village | rural | - | in a village; a small village with houses
slum | urban | - | in a slum; crowded makeshift houses
rooftop | outdoor | - | on a rooftop; a view from a roof
church interior | indoor | 406 | inside a church; an altar in a church
museum | indoor | - | in a museum; exhibits in a museum
art gallery | indoor | - | in an art gallery; paintings on white walls
theater | indoor | - | in a theater; a theater with red seats
cinema | - | 498 | at a cinema; the front of a movie theater
stage | - | 819 | on a stage; a performance on a stage with lights
hospital | indoor | - | in a hospital; a hospital room with a bed
clinic | indoor | - | in a clinic; a doctor's examination room
prison | - | 743 | in a prison; bars of a prison cell
hotel room | indoor | - | in a hotel room; a tidy room with a made bed
zoo | - | - | in a zoo; animals behind a fence
aquarium | - | - | in an aquarium; fish in a large tank
amusement park | outdoor | 476 | in an amusement park; a carousel or a ferris wheel
casino | indoor | 800 | in a casino; slot machines

# sport and events
gym | indoor | 416 422 602 702 | in a gym; equipment for training
stadium | - | 781 | in a stadium; a sports arena with spectators
sports field | outdoor | 981 | on a sports field; players on a playing field
soccer field | sports field | - | on a soccer field; a football match on grass
baseball field | sports field | 981 | on a baseball field; a baseball game
tennis court | - | - | on a tennis court; a tennis match
basketball court | - | 430 | on a basketball court; a basketball game
golf course | outdoor | - | on a golf course; a green with a flag
ski slope | snowy | 795 | on a ski slope; skiers on a mountain
ice rink | - | 746 | on an ice rink; an ice hockey game
race track | outdoor | 751 | on a race track; racing cars
hiking trail | outdoor | - | on a hiking trail; hikers on a path
campsite | outdoor | 672 | at a campsite; tents in the open
wedding | - | 982 | at a wedding; a bride and a groom
party | - | - | at a party; people celebrating
concert | - | - | at a concert; a band playing before a crowd
graduation | - | 667 | at a graduation; students in caps and gowns
parade | outdoor | - | in a parade; people marching in costumes
protest | outdoor | - | at a protest; demonstrators with signs
fireworks | nighttime | - | fireworks; fireworks in the night sky
conference | indoor | - | at a conference; a speaker before an audience

# industry and farming
factory | indoor | - | in a factory; machines in a production hall
assembly line | factory | - | at an assembly line; workers on a production line
conveyor belt | - | - | at a conveyor belt; parts on a conveyor
construction site | outdoor | - | on a construction site; a building under construction
mine | - | - | in a mine; an open pit mine
quarry | outdoor | - | in a quarry; cut rock and gravel
oil rig | outdoor | 540 | on an oil rig; a drilling platform at sea
power plant | outdoor | - | at a power plant; cooling towers and chimneys
solar farm | outdoor | - | at a solar farm; rows of solar panels
wind farm | outdoor | - | at a wind farm; wind turbines in a row
landfill | outdoor | - | on a landfill; a heap of waste
scrapyard | outdoor | - | in a scrapyard; wrecked cars
farm | rural | 425 595 856 958 | on a farm; a farm with fields and barns
crop field | rural | 984 | in a crop field; rows of crops; a yellow field in bloom
orchard | rural | - | in an orchard; rows of fruit trees
vineyard | rural | - | in a vineyard; rows of vines
pasture | rural | - | on a pasture; cattle grazing
greenhouse | - | 580 | in a greenhouse; plants under glass
stable | - | - | in a stable; animals in a barn
flooded area | outdoor | - | in a flooded area; streets under water
disaster area | outdoor | - | in a disaster area; collapsed buildings
wildfire | outdoor | - | at a wildfire; a forest on fire
"""
