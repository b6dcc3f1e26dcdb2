"""The objects of the taxonomy: source table of `build_taxonomy.py`.

A line is `name | parents | ImageNet-1k classes | what a caption would call it; another`. Classes are indices \
    0..999 in
the usual order (by WordNet id), `-` if none of them shows the thing; a parent has its children's classes too, so only
what no child covers is listed there. Chosen by looking at what the classes' pictures show: `hip` is a fruit,
`cab` is a car, `crane` is listed twice (bird and machine). A line `# text` starts a group.
"""

OBJECTS = """
# people
person | - | 981-983 | a person; a human being; people
man | person | - | a man; an adult man
woman | person | - | a woman; an adult woman
child | person | - | a child; a young boy or girl
baby | child | - | a baby; an infant
crowd | person | - | a crowd of people; many people close together
pedestrian | person | - | a pedestrian; a person walking in the street
cyclist | person | - | a cyclist; a person riding a bicycle
worker | person | - | a worker; a person in work clothes at work
face | person | - | a human face; a face seen from close up
hand | - | - | a human hand; a hand holding something

# animals: mammals
animal | - | 102-108 110-117 122-126 149 272-276 286-287 298-299 327-329 333-334 336-338 344 346-347 351-364 387 \
    25-29 70-71 78-79 383-384 | an animal; a wild animal
dog | animal | 151-268 | a dog; a pet dog
cat | animal | 281-285 | a cat; a pet cat
big cat | animal | 290 293 | a big cat; a large wild cat
lion | big cat | 291 | a lion; a lion with a mane
tiger | big cat | 292 | a tiger; a striped tiger
leopard | big cat | 288-289 | a leopard; a big cat with spots
wolf | animal | 269-271 | a wolf; a wild wolf
fox | animal | 277-280 | a fox; a red fox
bear | animal | 294-297 | a bear; a bear in the wild
panda | animal | 388 | a panda; a giant panda, black and white
horse | animal | 339 | a horse; a horse in a field
zebra | animal | 340 | a zebra; zebras with black and white stripes
cow | animal | 345 | a cow; cattle; an ox or a bull
sheep | animal | 348-349 | a sheep; a flock of sheep; a ram
goat | animal | 350 | a goat; a mountain goat
pig | animal | 341-343 | a pig; a wild boar
deer | animal | - | a deer; a deer with antlers
elephant | animal | 101 385-386 | an elephant; an elephant with tusks
giraffe | animal | - | a giraffe; a giraffe with a long neck
monkey | animal | 370-382 | a monkey; a monkey in a tree
ape | animal | 365-369 | an ape; a gorilla or a chimpanzee
rabbit | animal | 330-332 | a rabbit; a hare
squirrel | animal | 335 | a squirrel; a squirrel eating a nut
whale | animal | 147-148 | a whale; a whale in the sea
seal | animal | 150 | a seal; a sea lion

# animals: birds, fish and others
bird | animal | 9-21 23 80-86 91-96 99-100 127-144 146 | a bird; a wild bird
duck | bird | 97-98 | a duck; ducks on water
chicken | bird | 7-8 | a chicken; a hen or a rooster
eagle | bird | 22 | an eagle; a bird of prey
owl | bird | 24 | an owl; an owl with large eyes
parrot | bird | 87-90 | a parrot; a colorful parrot
penguin | bird | 145 | a penguin; penguins
fish | animal | 0-1 5-6 389-397 | a fish; fish under water
shark | fish | 2-4 | a shark; a shark under water
reptile | animal | - | a reptile; a scaly reptile
snake | reptile | 52-68 | a snake; a coiled snake
lizard | reptile | 38-48 | a lizard; an iguana or a gecko
turtle | reptile | 33-37 | a turtle; a tortoise
crocodile | reptile | 49-50 | a crocodile; an alligator
frog | animal | 30-32 | a frog; a toad
insect | animal | 300-308 310-320 | an insect; an insect from close up
butterfly | insect | 321-326 | a butterfly; a butterfly on a flower
bee | insect | 309 | a bee; a bee on a flower
spider | animal | 72-77 | a spider; a spider in its web
crab | animal | 118-121 | a crab; a crab on the sand
coral | - | 109 973 | coral; a coral reef

# road vehicles
vehicle | - | 405 408 450 537 573 575 586 603 612 690 757 802-803 833 847 870 880 | a vehicle; a means of transport
car | vehicle | 436 511 581 609 627 656 661 751 817 | a car; an automobile; a passenger car on the road
taxi | car | 468 | a taxi; a yellow cab
police car | car | - | a police car; a patrol car with lights
ambulance | vehicle | 407 | an ambulance; an emergency ambulance
truck | vehicle | 569 675 864 867 | a truck; a lorry; a large goods vehicle
pickup truck | truck | 717 | a pickup truck; a car with an open cargo bed
fire truck | truck | 555 | a fire truck; a red fire engine
van | vehicle | 734 656 | a van; a delivery van; a minivan
bus | vehicle | 654 779 874 | a bus; a city bus; a school bus
motorcycle | vehicle | 665 670 | a motorcycle; a motorbike; a motor scooter
bicycle | vehicle | 444 671 | a bicycle; a bike; a mountain bike
tractor | vehicle | 866 | a tractor; a farm tractor
harvester | vehicle | 595 856 | a combine harvester; a harvesting machine in a field
forklift | vehicle | 561 | a forklift; a forklift truck in a warehouse
excavator | vehicle | - | an excavator; a digger with a bucket
wheel | - | 479 | a wheel; a car wheel with its tire
license plate | - | - | a license plate; a number plate of a car

# rail, water and air vehicles
train | vehicle | 466 547 565 705 820 | a train; a locomotive; railway cars
tram | vehicle | 829 | a tram; a streetcar
boat | vehicle | 472 554 576 625 814 | a boat; a small boat on the water
sailboat | boat | 484 780 871 914 | a sailboat; a sailing yacht
ship | vehicle | 403 510 628 724 913 | a ship; a large ship at sea
airplane | vehicle | 404 895 908 | an airplane; a plane in the sky
helicopter | vehicle | - | a helicopter; a helicopter in flight
drone | vehicle | - | a drone; a quadcopter
rocket | vehicle | 657 744 812 | a rocket; a missile; a space shuttle

# street and buildings
building | - | 442 449 483 498 500 538 660 663 668 698 727 743 832 853 858 915 | a building; the front of a building
house | building | - | a house; a family home
skyscraper | building | - | a skyscraper; a tall office tower
church | building | 497 | a church; a church with a steeple
barn | building | 425 | a barn; a farm building
lighthouse | building | 437 | a lighthouse; a lighthouse on the coast
tower | - | 437 442 900 | a tower; a tall narrow tower
tent | - | 672 | a tent; a camping tent
bridge | - | 821 839 888 | a bridge; a bridge across a river
sign | - | 919 | a sign; a street sign; a sign with writing
stop sign | sign | - | a stop sign; a red octagonal stop sign
billboard | sign | - | a billboard; a large advertisement beside a road
traffic light | - | 920 | a traffic light; a stoplight at a crossing
traffic cone | - | - | a traffic cone; an orange road cone
street light | - | - | a street light; a lamp post
fire hydrant | - | - | a fire hydrant; a hydrant on the pavement
bench | - | 703 | a bench; a park bench
fence | - | 489 716 912 | a fence; a wooden or wire fence
wall | - | 825 | a wall; a stone or brick wall
door | - | - | a door; a closed front door
window | - | - | a window; a window of a house
stairs | - | - | stairs; a staircase
crosswalk | - | - | a crosswalk; a zebra crossing on a road
crane | - | 517 | a construction crane; a tower crane
power line | - | - | a power line; a pylon with electric cables
wind turbine | - | - | a wind turbine; a windmill that makes electricity
solar panel | - | 807 | a solar panel; solar panels on a roof
flag | - | - | a flag; a flag on a pole

# furniture and household
furniture | - | 493 495 553 648 894 492 | furniture; a piece of furniture
chair | furniture | 423 559 765 857 | a chair; an empty chair
couch | furniture | 831 | a couch; a sofa
bed | furniture | 520 564 516 431 | a bed; a bed with pillows
table | furniture | 532 736 | a table; a dining table
desk | furniture | 526 | a desk; a work desk
shelf | furniture | 453 | a shelf; a bookcase
lamp | - | 619 846 | a lamp; a table lamp
curtain | - | 794 854 | a curtain; curtains at a window
pillow | - | 721 | a pillow; a cushion
mirror | - | - | a mirror; a mirror on a wall
clock | - | 409 530 892 | a clock; a clock that shows the time
potted plant | plant | 738 | a potted plant; a plant in a pot
bathtub | - | 435 876 | a bathtub; a bath
sink | - | 896 | a sink; a washbasin with a tap
toilet | - | 861 | a toilet; a toilet seat
refrigerator | - | 760 | a refrigerator; a fridge
stove | - | 827 | a stove; a cooker
microwave | - | 651 | a microwave; a microwave oven
washing machine | - | 897 | a washing machine; a washer for clothes
trash can | - | 412 | a trash can; a waste bin
box | - | 478 519 | a box; a cardboard box
toy | - | 850 | a toy; children's toys
umbrella | - | 879 | an umbrella; an open umbrella

# kitchenware
bottle | - | 440 720 737 898-899 901 907 | a bottle; a glass or plastic bottle
cup | - | 504 968 | a cup; a mug
glass | - | 441 572 | a drinking glass; a glass of beer or wine
plate | - | 923 | a plate; a plate with food
bowl | - | 659 809 | a bowl; a bowl on a table
knife | - | 499 | a knife; a kitchen knife
spoon | - | 618 910 | a spoon; a ladle
pan | - | 567 909 | a pan; a frying pan
pot | - | 469 521 544 | a cooking pot; a pot with a lid

# electronics
computer | - | 527 590 | a computer; a desktop computer
laptop | computer | 620 681 | a laptop; an open notebook computer
keyboard | - | 508 810 | a computer keyboard; keys of a keyboard
screen | - | 664 782 851 | a screen; a computer monitor; a television
phone | - | 487 528 707 | a phone; a mobile phone
camera | - | 732 759 | a camera; a photo camera
headphones | - | - | headphones; earphones
microphone | - | 650 | a microphone; a person singing into a microphone

# clothing and things people carry
clothing | - | 399-400 411 445 459 474 501 568 578 601 608 610 614 617 639 652 655 689 697 735 775 834 841-842 \
    869 457 529 552 638 658 806 824 887 906 | clothing; clothes; a garment
shoe | clothing | 502 514 630 770 774 | a shoe; a pair of shoes
hat | clothing | 439 452 515 808 667 | a hat; a person wearing a hat
helmet | - | 518 560 715 | a helmet; a protective helmet
glasses | - | 836-837 | glasses; sunglasses
mask | - | 570 643 796 691 | a mask; a person wearing a mask
bag | - | 636 728 | a bag; a shoulder bag
backpack | bag | 414 | a backpack; a rucksack
handbag | bag | 748 | a handbag; a purse

# food and drink
food | - | 924-927 934-935 961-962 964-965 960 | food; a dish of food
fruit | food | 952-953 955-957 | fruit; fresh fruit
apple | fruit | 948 | an apple; a green or red apple
banana | fruit | 954 | a banana; a bunch of bananas
orange | fruit | 950 | an orange; orange fruit, cut open
lemon | fruit | 951 | a lemon; lemons
strawberry | fruit | 949 | a strawberry; red strawberries
vegetable | food | 936 938-946 987 | vegetables; a fresh vegetable
broccoli | vegetable | 937 | broccoli; a head of broccoli
mushroom | - | 947 991-997 | a mushroom; a wild fungus
bread | food | 930-932 | bread; a loaf of bread
pizza | food | 963 | a pizza; a slice of pizza
hamburger | food | 933 | a hamburger; a cheeseburger
pasta | food | 959 | pasta; a plate of spaghetti
ice cream | food | 928-929 | ice cream; a popsicle
cake | food | - | a cake; a birthday cake
coffee | drink | 967 | coffee; a cup of espresso
wine | drink | 966 | wine; a glass of red wine
drink | - | 969 | a drink; a beverage in a glass

# tools, machines, sport and music
tool | - | 473 477 512 596 731 784 792 621 696 726 | a tool; a set of hand tools
hammer | tool | 587 | a hammer; a hammer and nails
saw | tool | 491 | a saw; a chainsaw
drill | tool | 740 | a drill; a power drill
ladder | - | - | a ladder; a ladder against a wall
weapon | - | 413 471 763-764 456 | a weapon; a gun
book | - | 921 917 | a book; the cover of a book
pen | - | 418 563 | a pen; a pen for writing
ball | - | 429 722 574 522 768 852 890 | a ball; a ball for playing
soccer ball | ball | 805 | a soccer ball; a football on grass
basketball | ball | 430 | a basketball; a game of basketball
musical instrument | - | 401 432 486 513 541 558 566 577 593-594 641-642 683-684 687 699 776 822 875 889 \
    | a musical instrument; a person playing an instrument
guitar | musical instrument | 402 420 546 | a guitar; an electric or acoustic guitar
piano | musical instrument | 579 881 | a piano; the keys of a piano

# nature
plant | - | - | a plant; green plants
tree | plant | - | a tree; a tree with green leaves
flower | plant | 985-986 | a flower; flowers in bloom
grass | plant | - | grass; a green lawn
rock | - | - | a rock; large stones
cloud | - | - | a cloud; white clouds in the sky
fire | - | - | a fire; open flames
"""
