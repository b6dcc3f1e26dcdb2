"""The attributes of the taxonomy: source table of `build_taxonomy.py`.

A line is `name | parents | rule | caption; another`. A rule is a list of conditions on pixel measures that must all
hold, `measure > threshold ~ width`: the score is 0.5 at the threshold and 0.73 one width beyond it. `-`: pixels alone
cannot tell, a tagger that reads words and pictures may.
"""

ATTRIBUTES = """
# exposure and light
dark | - | luminance_mean < 0.22 ~ 0.02, luminance_p95 < 0.75 ~ 0.05 | a dark photo; a picture with mostly dark areas
bright | - | luminance_p50 > 0.66 ~ 0.03, border_white < 0.7 ~ 0.05, centre_luminance > 0.6 ~ 0.03 \
    | a bright photo; a picture full of light
low-light | - | luminance_p50 < 0.22 ~ 0.02, luminance_p95 < 0.6 ~ 0.03 \
    | a photo taken in low light; a dim photo with little light
underexposed | dark | luminance_p95 < 0.46 ~ 0.03, luminance_p50 < 0.2 ~ 0.02 \
    | an underexposed photo; a photo that is too dark to see details
overexposed | - | clipped_white > 0.13 ~ 0.02, border_white < 0.7 ~ 0.05, luminance_p50 > 0.5 ~ 0.03 \
    | an overexposed photo; a photo with blown out white areas
high-contrast | - | contrast_rms > 0.31 ~ 0.01, border_white < 0.5 ~ 0.05 \
    | a high contrast photo; a picture with deep blacks and bright whites
low-contrast | - | luminance_spread < 0.33 ~ 0.03, luminance_p95 > 0.3 ~ 0.03 \
    | a low contrast photo; a flat, washed out picture
backlit | - | - | a backlit photo; a subject against strong light
silhouette | backlit | - | a silhouette; a dark outline of a subject against a bright background
high-key | bright | - | a high key photo; a very light picture with few shadows
low-key | dark | - | a low key photo; a dark picture with a lit subject
natural-light | - | - | a photo in natural light; a subject lit by daylight
artificial-light | - | - | a photo in artificial light; a subject lit by lamps
flash | artificial-light | - | a photo taken with flash; a subject lit by a camera flash
neon-light | artificial-light | - | neon lights; a picture lit by colorful neon signs
studio-light | artificial-light | - | a photo in studio light; even professional lighting
hard-shadow | - | - | hard shadows; strong shadows with sharp edges
soft-light | - | - | soft light; even light without hard shadows
uneven-light | - | - | uneven light; a picture half in the sun and half in the shade
lens-flare | - | - | lens flare; a bright flare from the sun in the lens
glare | - | - | glare; a strong reflection of light that hides details
reflection | - | - | a reflection; a subject mirrored in water or glass
light-trails | - | - | light trails; a long exposure of moving lights

# sharpness, noise and image quality
blurry | - | sharpness < -2.65 ~ 0.1, luminance_spread > 0.08 ~ 0.02, detail_px > 64 ~ 8 \
    | a blurry photo; a photo that is not sharp
sharp | - | sharpness > -0.8 ~ 0.1, detail_px > 160 ~ 16, noise < 5 ~ 1 \
    | a sharp photo; a crisp picture with fine details
out-of-focus | blurry | - | an out of focus photo; a photo where the camera focused wrongly
motion-blur | blurry | - | a photo with motion blur; a smeared picture of a moving subject
camera-shake | blurry | - | a photo blurred by camera shake; a shaky picture
shallow-depth-of-field | - | - | a photo with shallow depth of field; a sharp subject before a soft background
noisy | - | noise > 5.5 ~ 0.7 | a noisy photo; a grainy picture with sensor noise
film-grain | - | - | film grain; a photo with the grain of analog film
pixelated | - | - | a pixelated picture; large visible pixels
compression-artifacts | - | - | jpeg artifacts; a heavily compressed picture
low-resolution | - | short_side_px < 200 ~ 8 | a low resolution picture; a very small image
high-resolution | - | megapixels > 6 ~ 0.5 | a high resolution photo; a very detailed large image
distorted | - | - | a distorted picture; a warped image
fisheye | distorted | - | a fisheye photo; a picture taken with a fisheye lens
vignette | - | - | a photo with a vignette; dark corners around a picture
chromatic-aberration | - | - | chromatic aberration; colored fringes at the edges
dirty-lens | - | - | a photo through a dirty lens; spots on the lens
raindrops-on-lens | dirty-lens | - | raindrops on the lens; a picture through wet glass
corrupted | - | - | a corrupted image; a glitched picture with broken blocks
screen-moire | - | - | moire patterns; a photo of a screen

# colour
grayscale | monochrome | chroma < 0.014 ~ 0.002 | a grayscale picture; a picture without color
black-and-white | monochrome | chroma < 0.014 ~ 0.002 | a black and white photo; a monochrome photograph
sepia | monochrome | hue_focus > 0.9958 ~ 0.0005, chroma > 0.04 ~ 0.005, warmth > 0.04 ~ 0.005 \
    | a sepia photo; an old brown toned photograph
monochrome | - | hue_focus > 0.9958 ~ 0.0005 | a monochrome picture; a picture in shades of a single color
colorful | - | colourfulness > 68 ~ 3 | a colorful photo; a picture with many vivid colors
muted-colors | - | colourfulness < 20 ~ 2, chroma > 0.02 ~ 0.003, luminance_p50 > 0.18 ~ 0.02 \
    | a photo with muted colors; a picture with pale, faded colors
oversaturated | - | - | an oversaturated photo; unnaturally strong colors
pastel-colors | - | - | pastel colors; a picture in soft, light colors
warm-toned | - | warmth > 0.22 ~ 0.02 | a warm toned photo; a picture in red, orange and yellow tones
cool-toned | - | warmth < -0.12 ~ 0.015 | a cool toned photo; a picture in blue tones
color-cast | - | - | a photo with a color cast; wrong white balance
red | - | share_red > 0.35 ~ 0.04 | a mostly red picture; a red subject that fills the frame
orange-colored | - | share_orange > 0.35 ~ 0.04 | a mostly orange picture; a picture in orange
yellow | - | share_yellow > 0.35 ~ 0.04 | a mostly yellow picture; a picture in yellow
green | - | share_green > 0.45 ~ 0.04 | a mostly green picture; a picture full of green
cyan | - | share_cyan > 0.35 ~ 0.04 | a mostly cyan picture; a picture in turquoise
blue | - | share_blue > 0.4 ~ 0.04 | a mostly blue picture; a picture in blue
purple | - | share_purple > 0.3 ~ 0.04 | a mostly purple picture; a picture in violet
pink | - | share_pink > 0.3 ~ 0.04 | a mostly pink picture; a picture in pink
brown | - | share_brown > 0.5 ~ 0.04 | a mostly brown picture; a picture in brown earth tones
gray | - | share_grey > 0.6 ~ 0.04, chroma > 0.014 ~ 0.002 | a mostly gray picture; a picture in gray tones
white | - | share_white > 0.5 ~ 0.04 | a mostly white picture; a picture in white
black | - | share_black > 0.55 ~ 0.04 | a mostly black picture; a picture in black

# framing and viewpoint
close-up | - | - | a close-up photo; a subject seen from very near
macro | close-up | - | a macro photo; an extreme close-up of something tiny
wide-angle | - | - | a wide angle photo; a picture that shows much of the surroundings
aerial-view | - | - | an aerial view; a photo from the air looking down
satellite-view | aerial-view | - | a satellite image; the earth from space
top-down | - | - | a top-down photo; a subject seen straight from above
low-angle | - | - | a low angle photo; a subject seen from below
eye-level | - | - | a photo at eye level; a subject seen from its own height
front-view | - | - | a front view; a subject seen from the front
side-view | - | - | a side view; a subject seen from the side
rear-view | - | - | a rear view; a subject seen from behind
first-person-view | - | - | a first person view; a picture seen through the eyes of the person
surveillance-view | - | - | a picture from a surveillance camera; a view from a camera high in a corner
distant-subject | - | - | a distant subject; something small far away
centered | - | - | a centered subject; a subject in the middle of the picture
off-center | - | - | an off-center subject; a subject at the side of the picture
symmetrical | - | - | a symmetrical picture; both halves mirror each other
tilted | - | - | a tilted photo; a picture with a slanted horizon
upside-down | tilted | - | an upside down photo; a picture that is turned by half
truncated | - | - | a truncated subject; a subject cut off by the edge of the picture
occluded | - | - | an occluded subject; a subject partly hidden behind something
full-body | - | - | a full body photo; a person from head to toe
half-body | - | - | a half body photo; a person from the waist up
headshot | close-up | - | a headshot; a portrait of a face
selfie | - | - | a selfie; a photo people take of themselves
portrait-orientation | - | stretch < -0.1 ~ 0.03 | a picture in portrait format; a tall picture
landscape-orientation | - | stretch > 0.1 ~ 0.03 | a picture in landscape format; a wide picture
square-format | - | stretch > -0.06 ~ 0.01, stretch < 0.06 ~ 0.01 | a square picture; a picture as wide as high
panoramic | landscape-orientation | stretch > 1 ~ 0.05 | a panoramic photo; a very wide picture

# background
plain-background | - | border_flatness > 0.85 ~ 0.02 | a plain background; a subject before a uniform background
white-background | plain-background | border_white > 0.85 ~ 0.03, border_flatness > 0.85 ~ 0.02 \
    | a white background; a product photo on white
black-background | plain-background | border_black > 0.85 ~ 0.03, border_flatness > 0.85 ~ 0.02, luminance_p95 > \
    0.25 ~ 0.03 | a black background; a subject before black
blurred-background | - | - | a blurred background; a soft background behind a sharp subject
cluttered-background | - | - | a cluttered background; a messy scene behind the subject
natural-background | - | - | a natural background; plants behind the subject
green-screen | plain-background | - | a green screen; a subject before a chroma key background
transparent-background | plain-background | - | a cut-out; a subject without any background

# kind of picture
photograph | - | - | a photograph; a photo taken with a camera
illustration | - | - | an illustration; a drawn picture
painting | illustration | - | a painting; an oil painting
drawing | illustration | - | a drawing; a pencil drawing
sketch | drawing | - | a sketch; a rough line drawing
cartoon | illustration | - | a cartoon; a comic drawing
clip-art | illustration | - | clip art; a simple vector graphic
3d-render | - | - | a 3d rendering; a computer generated image
screenshot | - | - | a screenshot; a picture of a user interface
video-game | - | - | a picture from a video game; game graphics
diagram | - | - | a diagram; a technical drawing with labels
chart | diagram | - | a chart; a graph of data
map-image | - | - | a map; a plan of streets
document-scan | - | - | a scanned document; a page of text
handwriting | - | - | handwriting; handwritten notes
collage | - | - | a collage; several pictures put together
vintage-photo | - | - | a vintage photo; an old photograph
film-photo | - | - | an analog film photo; a picture with the colors of film
thermal-image | - | - | a thermal image; an infrared heat picture
infrared-image | - | - | an infrared photo; a near infrared picture
night-vision | - | - | a night vision picture; a green picture of the night
x-ray | - | - | an x-ray image; a radiograph
medical-scan | - | - | a medical scan; an mri or ct slice
microscope-image | - | - | a microscope image; cells under a microscope
depth-map | - | - | a depth map; a picture where brightness means distance
stereo-pair | - | - | a stereo pair; the same view twice, side by side
long-exposure | - | - | a long exposure; smooth water and moving clouds
hdr | - | - | an hdr photo; a tone mapped picture
product-photo | - | - | a product photo; an item for sale

# text and marks
text-overlay | - | - | a picture with text on it; words over a picture
watermark | text-overlay | - | a picture with a watermark; a stock photo mark across a picture
timestamp | text-overlay | - | a timestamp; a date printed in the corner of a photo
caption | text-overlay | - | a picture with a caption; a line of text below a picture
logo | - | - | a logo; a company sign
barcode | - | - | a barcode; a label with a barcode
qr-code | - | - | a qr code; a square code of black and white cells
price-tag | - | - | a price tag; a label with a price
bordered | - | - | a picture with a border; a frame around a picture
letterboxed | bordered | - | a letterboxed picture; black bars above and below
bounding-boxes | - | - | bounding boxes; colored boxes drawn around things
blurred-faces | - | - | blurred faces; faces made unrecognizable
non-latin-text | - | - | text in a non-latin script; chinese, arabic or cyrillic writing

# what is in it, and how much
empty-scene | - | - | an empty scene; a place with nobody in it
crowded | - | - | a crowded scene; a place full of people
cluttered | - | - | a cluttered scene; many things lying about
single-subject | - | - | a single subject; one thing alone in the picture
multiple-subjects | - | - | several subjects; two or more things in the picture
group-of-people | multiple-subjects | - | a group of people; friends together
small-objects | - | - | small objects; many tiny things
overlapping-objects | multiple-subjects | - | overlapping objects; things in front of each other
stacked | - | - | stacked things; a pile or stack
in-a-row | - | - | things in a row; a line of the same things
repeating-pattern | - | - | a repeating pattern; the same shape again and again
texture | - | - | a texture; a surface that fills the picture
no-people | - | - | a picture without people; nobody in sight

# surface and material
wooden | - | - | something wooden; a surface of wood
metallic | - | - | something metallic; a surface of metal
glass-surface | - | - | something made of glass; a surface of glass
plastic | - | - | something made of plastic; a plastic surface
fabric | - | - | fabric; a surface of cloth
leather | - | - | leather; a leather surface
concrete | - | - | concrete; a concrete surface
brick | - | - | brick; a brick wall
stone-surface | - | - | stone; a surface of stone
paper | - | - | paper; a sheet of paper
furry | - | - | something furry; soft fur
shiny | - | - | something shiny; a glossy surface
transparent | - | - | something transparent; a see-through thing
striped | - | - | something striped; a pattern of stripes
checkered | - | - | something checkered; a pattern of squares
dotted | - | - | something dotted; a pattern of spots

# state
wet | - | - | something wet; a wet surface
dirty | - | - | something dirty; a muddy, stained thing
clean | - | - | something clean; a spotless surface
damaged | - | - | something damaged; a broken thing
scratched | damaged | - | something scratched; scratches in a surface
cracked | damaged | - | something cracked; cracks in a surface
dented | damaged | - | something dented; a dent in metal
rusty | - | - | something rusty; rust on metal
new-looking | - | - | something new; an unused thing
worn | - | - | something worn; an old, used thing
packaged | - | - | something packaged; goods in their package
ripe | - | - | something ripe; ripe fruit
rotten | - | - | something rotten; spoiled food
cooked | - | - | something cooked; a prepared dish
frozen | - | - | something frozen; covered with ice
burning | - | - | something burning; on fire
smoky | - | - | smoke; a picture full of smoke

# people and motion
posing | - | - | someone posing; a person who looks into the camera
candid | - | - | a candid photo; people who do not notice the camera
smiling | - | - | someone smiling; a happy face
standing | - | - | someone standing; a person upright
sitting | - | - | someone sitting; a person on a seat
lying | - | - | someone lying; a person or animal that lies down
walking | - | - | someone walking; a person on foot
running | - | - | someone running; a person in a hurry
jumping | - | - | someone jumping; a person in the air
riding | - | - | someone riding; a person on a horse or a bicycle
driving | - | - | someone driving; a driver at the wheel
eating | - | - | someone eating; a person at a meal
working | - | - | someone working; a person at work
playing | - | - | someone playing; children or animals at play
flying | - | - | something flying; a bird or plane in the air
swimming | - | - | something swimming; a person or animal in water
parked | - | - | a parked vehicle; vehicles standing still
"""
