#!/usr/bin/env python3
"""Make the data that `simcse train` without arguments uses: sentences to train on, duplicates to rank.

    python3 tools/make_default_corpus.py            writes simcse-cli/src/default/{sentences.txt,rerank.jsonl}
    python3 tools/make_default_corpus.py --check    fails unless those files are what it would write
    python3 tools/make_default_corpus.py --report   also prints counts and lexical baselines

Every sentence is a question title about using a computer, as a forum has them, made by a grammar:

    intent = object x action        a printer that is not detected
    title  = way of asking (noun for the object, wording of the action), perhaps with a context behind it

Two titles with the same intent are duplicates, however they are worded. Rules, asserted below:

* sentences are distinct even without case and punctuation, at least 10 characters long, and mean one intent each;
* no sentence and no intent is both trained on and held out;
* all words, nouns and wordings of the held-out titles occur in training, in other combinations: a held-out
  action is trained with at least two thirds of the objects it applies to, a held-out object with its other actions;
* each query has 20 distinct candidates, none of them the query: 2 to 4 positives (same intent, other way of asking,
  other noun or other wording or both) and negatives that share its object, its action, or its way of asking.

Which intents are held out and how they are worded depends on SEED alone, not on the score of any model.
"""

import argparse
import json
import math
import random
import re
import sys
from collections import Counter, defaultdict
from itertools import product
from pathlib import Path

SEED = 20210418  # day of the SimCSE paper
TITLES_PER_INTENT = 4
HELD_OUT_OBJECTS = 45
HELD_OUT_ACTIONS = 4  # of each held-out object
CANDIDATES = 20
OUTPUT = Path(__file__).resolve().parent.parent / "simcse-cli" / "src" / "default"

# ---- The grammar: objects -------------------------------------------------------------------------------------------
#
# name | groups of actions that apply | nouns. Behind a noun: = a name without article, ! a noun that takes only "the",
# + a plural, ~ a mass noun.

OBJECTS = """
browser     | pkg oss prog web                | Firefox=; web browser; Firefox browser!
mail        | pkg oss prog web write          | Thunderbird=; email client; mail program
nautilus    | prog                            | Nautilus=; file manager; file browser
gedit       | pkg oss prog text write         | Gedit=; text editor; Gedit editor!
vscode      | pkg prog text write             | VS Code=; code editor; programming editor
office      | pkg oss prog text write         | LibreOffice=; office suite; LibreOffice suite!
gimp        | pkg oss prog                    | GIMP=; image editor; photo editor
vlc         | pkg oss prog av                 | VLC=; video player; VLC player!
rhythmbox   | pkg oss prog av                 | Rhythmbox=; music player; audio player
evince      | pkg oss prog text               | Evince=; PDF viewer; PDF reader
kdenlive    | pkg oss prog av                 | Kdenlive=; video editor; Kdenlive editor!
obs         | pkg oss prog av                 | OBS Studio=; screen recorder; screen recording program
virtualbox  | pkg prog                        | VirtualBox=; virtual machine manager; VirtualBox manager!
steam       | pkg prog                        | Steam=; game launcher; Steam client!
discord     | pkg prog av web                 | Discord=; chat program; chat app
zoom        | pkg prog av web                 | Zoom=; video call app; video conferencing program
torrent     | pkg oss prog                    | Transmission=; torrent client; BitTorrent client
keepass     | pkg oss prog                    | KeePassXC=; password manager; password safe
timeshift   | pkg oss prog                    | Timeshift=; backup tool; backup program
terminal    | prog text                       | terminal; console; terminal emulator
calendar    | pkg prog                        | calendar app; calendar program
notes       | pkg oss prog text write         | note-taking app; notes program
feeds       | pkg oss prog web                | RSS reader; feed reader; news reader
ftp         | pkg oss prog                    | FileZilla=; FTP client; FileZilla client!

docker      | pkg oss svc                     | Docker=; container engine; Docker engine!
mysql       | pkg oss svc tls                 | MySQL=; database server; MySQL server
apache      | pkg oss svc tls                 | Apache=; web server; Apache server
sshd        | pkg svc                         | SSH server; OpenSSH server; SSH daemon
samba       | pkg oss svc                     | Samba=; file server; Samba server
jellyfin    | pkg oss svc tls                 | Jellyfin=; media server; streaming server
minecraft   | pkg svc                         | Minecraft server; game server
mailserver  | pkg oss svc tls                 | Postfix=; mail server; email server
gpudriver   | pkg                             | NVIDIA driver; graphics driver; video driver
java        | pkg                             | Java runtime; Java virtual machine

printer     | dev loose usb perf print        | printer; laser printer; inkjet printer
scanner     | dev loose usb perf              | scanner; document scanner; flatbed scanner
webcam      | dev loose usb off cam           | webcam; camera; web camera
microphone  | dev loose usb off sound         | microphone; mic; USB microphone
mouse       | dev loose off radio point jumpy | mouse; wireless mouse; optical mouse
keyboard    | dev loose off radio typing      | keyboard; wireless keyboard; computer keyboard
touchpad    | dev off perf point jumpy        | touchpad; trackpad
monitor     | dev loose off display           | external monitor; second monitor; second display
projector   | dev loose display               | projector; video projector; beamer
tv          | dev loose display sound         | TV; television; TV set
touchscreen | dev off perf display jumpy      | touchscreen; touch display; touch panel
headphones  | dev loose off radio sound out   | headphones+; headset; earphones+
speakers    | dev loose off radio sound out   | speakers+; loudspeakers+; external speakers+
gamepad     | dev loose usb radio             | gamepad; game controller; joypad
tablet      | dev loose usb perf off jumpy    | drawing tablet; graphics tablet; pen tablet
phone       | dev loose usb radio phone       | phone; smartphone; Android phone
fingerprint | dev usb off perf                | fingerprint reader; fingerprint sensor; fingerprint scanner
station     | dev loose usb                   | docking station; laptop dock; USB-C dock
wificard    | dev loose usb off perf          | wifi card; wireless adapter; WLAN adapter
btdongle    | dev loose usb off perf          | Bluetooth dongle; Bluetooth adapter; Bluetooth stick
gpu         | dev usb off perf                | graphics card; GPU; video card
soundcard   | dev usb off sound out           | sound card; audio interface

hdd         | disk                            | hard drive; hard disk; internal drive
usbstick    | disk removable                  | USB stick; flash drive; thumb drive
extdrive    | disk removable                  | external drive; portable hard drive; USB hard disk
sdcard      | disk removable                  | SD card; memory card; microSD card
partition   | disk                            | data partition; second partition; storage partition
nas         | share                           | NAS; network drive; network storage~
share       | share                           | shared folder; network share; Windows share

pdfs        | file text_file print_file visual | PDF files+; PDFs+; PDF documents+
photos      | file media_file print_file visual | photos+; pictures+; images+
videos      | file media_file visual          | videos+; video files+; movies+
songs       | file media_file                 | MP3 files+; songs+; music files+
documents   | file text_file print_file       | Word documents+; text documents+; office documents+
tables      | file text_file print_file       | spreadsheets+; Excel files+; Excel sheets+
logs        | file text_file                  | log files+; logs+
archives    | file                            | ZIP files+; archives+; compressed files+
ebooks      | file                            | ebooks+; EPUB files+; electronic books+
screenshots | file media_file print_file visual | screenshots+; screen captures+; screen grabs+
folders     | file                            | folders+; directories+; subfolders+

panel       | look widget ui bar              | taskbar; panel; task bar
dock        | look widget ui bar              | dock; launcher bar; app dock
tray        | look widget ui bar              | system tray; notification area; tray
startmenu   | look widget ui                  | start menu; application menu; app menu
wallpaper   | look picture                    | wallpaper; desktop background; background image
lockscreen  | look picture                    | lock screen; locked screen
loginscreen | look picture                    | login screen; greeter; sign-in screen
saver       | look picture                    | screensaver; screen saver
icons       | look widget ui                  | desktop icons+; icons on the desktop+; desktop shortcuts+
pointer     | look widget                     | mouse pointer; cursor; mouse cursor
clock       | look widget ui                  | clock in the panel!; desktop clock; time display
popups      | look widget ui                  | notification bubbles+; desktop notifications+; popup messages+
titlebars   | look widget ui                  | title bars+; window borders+; window decorations+
oskeyboard  | look widget ui                  | on-screen keyboard; virtual keyboard
trashcan    | look widget ui                  | trash icon; recycle bin; trash can

wifi        | net radio_net                   | wifi~; wireless connection; WLAN~
lan         | net                             | wired connection; ethernet connection; LAN connection
vpn         | net                             | VPN; VPN connection; VPN tunnel
hotspot     | net radio_net                   | wifi hotspot; mobile hotspot; access point
lte         | net                             | mobile broadband connection; 4G modem; LTE modem

laptop      | machine                         | laptop; notebook; notebook computer
desktop     | machine                         | desktop PC; desktop computer; tower PC
homeserver  | machine headless                | home server; server; Linux server
raspberry   | machine headless                | Raspberry Pi; single-board computer; mini computer
minipc      | machine                         | mini PC; NUC; small form factor PC
chromebook  | machine                         | Chromebook; Chrome OS laptop; Google laptop

battery     | battery                         | battery; laptop battery; notebook battery
fan         | fan                             | fan; cooling fan; CPU fan
password    | password                        | login password; account password; user password
account     | account                         | user account; account; user profile
grub        | grub                            | boot menu; GRUB menu; boot loader
kernel      | kernel                          | kernel; Linux kernel
swap        | swap                            | swap file; swap space~; swap partition
updates     | updates                         | system updates+; software updates+; package updates+
repo        | repo                            | PPA; package repository; software repository
cron        | job                             | cron job; scheduled task; scheduled script
script      | job                             | shell script; bash script
sysclock    | sysclock                        | system clock; system time~; computer clock
layout      | layout                          | keyboard layout; keyboard language; input language
nightlight  | nightlight                      | night light; blue light filter; night mode~
clipboard   | clipboard                       | clipboard; clipboard history
git         | git                             | git repository; source code repository; git project
"""

# ---- The grammar: actions -------------------------------------------------------------------------------------------
#
# name | kind | wordings. Kind `how` is a task: an infinitive with {x} (the object with its article), {a} (the object
# with an indefinite article), {n} and {b} (one or many of it, bare) or {it}; `set` is a task that a settings dialog has
# a place for, `ask` one that no single command or tool does. Kind `bad` is a problem: a predicate whose subject is the
# object, beginning with a plain verb, `be`, `not`, `wont` or `cannot`; {its} and {self} agree; or, behind ^, a whole clause.

ACTIONS = {
    "pkg": """
install     | how | install {a}; set up {a}; add {a} to my system; get {a} installed
uninstall   | how | uninstall {x}; remove {x} completely; get rid of {x}; delete {x} from my system
update      | how | update {x} to the latest version; upgrade {x}; get the newest release of {x}
downgrade   | how | downgrade {x}; go back to an older version of {x}; return to a previous release of {x}
version     | how | check the version of {x}; find out which version of {x} is installed; see what release of {x} I have
hold        | how | stop {x} from being updated; keep {x} at the current version; exclude {x} from upgrades
offline     | ask | install {a} without an internet connection; set up {a} on an offline computer; add {a} to a machine with no network
installbad  | bad | wont install; ^I get an error when I install {a}; ^the installation of {x} fails
updatebad   | bad | wont update; ^the upgrade of {x} fails; ^I get an error when I update {x}
""",
    "oss": """
compile     | ask | compile {x} from source; build {x} from the source code; make my own build of {x}
""",
    "prog": """
autostart   | set | start {x} automatically at login; launch {x} when I log in; make {x} open at startup
shortcut    | how | create a desktop shortcut for {x}; put an icon for {x} on the desktop; add a launcher for {x} to my desktop
reset       | how | reset {x} to the default settings; restore the original settings of {x}; wipe the configuration of {x}
hotkey      | set | open {x} with a keyboard shortcut; bind a key to {x}; assign a hotkey to {x}
asroot      | how | run {x} as root; start {x} with administrator rights; launch {x} with sudo
twice       | how | open a second window of {x}; run two copies of {x} at once; start another instance of {x}
language    | set | change the language of {x}; switch {x} to English; set a different display language for {x}
ontop       | set | keep {x} above other windows; make {x} stay on top; pin the window of {x} in front of everything
totray      | set | minimize {x} to the tray; keep {x} in the background when I close the window; hide {x} instead of quitting
migrate     | ask | move the settings of {x} to a new computer; copy the configuration of {x} to another PC; transfer my preferences for {x} to a different machine
dark        | set | turn on dark mode in {x}; use a dark theme for {x}; give {x} a black background
firewall    | how | block internet access for {x}; stop {x} from going online; prevent {x} from using the network
crash       | bad | keep crashing; crash all the time; close by {self}; quit unexpectedly
nostart     | bad | wont start; not launch; refuse to open; ^nothing happens when I click on {x}
slow        | bad | be very slow; be sluggish; react very slowly
slowstart   | bad | take ages to start; need a whole minute to open; take too long to launch
freeze      | bad | keep freezing; hang all the time; stop responding; lock up at random
cpu         | bad | use 100% CPU; eat all the processor time; put a heavy load on the CPU; keep the processor busy
memory      | bad | use too much memory; eat up all my RAM; need gigabytes of memory; have a memory leak
blank       | bad | show only a blank window; open with an empty window; show a white window with nothing in it
forget      | bad | forget {its} settings; lose {its} preferences; not remember my settings
tinytext    | bad | have tiny text; have fonts that are far too small; ^the text in {x} is too small to read
noquit      | bad | wont close; refuse to quit; ^I cannot exit {x}
""",
    "text": """
fontsize    | set | make the font bigger in {x}; increase the text size of {x}; enlarge the letters in {x}
copytext    | ask | copy text out of {x}; use copy and paste in {x}; copy a selected passage from {x}
searchtext  | how | search for a word in {x}; find a phrase in {x}; look for some text in {x}
""",
    "write": """
spelling    | set | turn on spell checking in {x}; check my spelling in {x}; get {x} to underline spelling mistakes
""",
    "av": """
appsilent   | bad | have no sound; play no audio; ^I hear nothing when I use {x}
outofsync   | bad | have sound that is out of sync; play the audio too late; ^sound and picture in {x} do not match
outdevice   | set | choose the sound output for {x}; send the audio of {x} to another device; make {x} play through different speakers
appvolume   | set | change the volume of {x} only; make {x} quieter than other programs; turn down just the sound of {x}
""",
    "web": """
proxy       | set | use {x} through a proxy; set a proxy server for {x}; send the traffic of {x} through a proxy
mute        | set | turn off notifications from {x}; mute the alerts of {x}; stop {x} from showing popups
logout      | bad | keep logging me out; ask me to sign in again and again; not stay logged in
links       | bad | open links in the wrong program; not open links; ^clicking a link in {x} does nothing
offlinebad  | bad | not connect to the internet; say that I am offline; cannot reach any server
""",
    "svc": """
atboot      | how | start {x} at boot; launch {x} when the computer starts; have {x} running after every reboot
noboot      | set | stop {x} from starting at boot; disable {x} at startup; keep {x} from running after a reboot
relaunch    | how | restart {x} automatically when it crashes; bring {x} back up after a failure; make {x} recover by {self} when it dies
isrunning   | how | check whether {x} is running; see if {x} is active; find out if {x} is up
readlog     | how | read the log of {x}; see the error messages of {x}; find the log output of {x}
port        | set | change the port of {x}; make {x} listen on another port; run {x} on a different port
openport    | how | open the firewall for {x}; let {x} through the firewall; allow incoming connections to {x}
localonly   | how | restrict {x} to the local network; make {x} reachable only at home; hide {x} from the internet
savecfg     | how | back up the configuration of {x}; save the config files of {x}; keep a copy of the setup of {x}
svcmove     | ask | move {x} to a new machine; migrate {x} to different hardware; transfer {x} to another host
svcuser     | how | run {x} as a normal user; start {x} without root; use {x} without administrator rights
svcfail     | bad | fail to start; not come up; wont start any more
refuse      | bad | refuse connections; not accept connections; ^I cannot connect to {x}
portused    | bad | say that the port is already in use; complain about an address in use; find {its} port taken by another process
svcmem      | bad | use too much memory; eat up all the RAM; run out of memory
svcslow     | bad | answer very slowly; be slow to respond; take seconds for every request
svcdies     | bad | stop after a few hours; die every night; go down once a day
svcdisk     | bad | fill up the disk; take up all the disk space; write gigabytes of data to the disk
""",
    "tls": """
https       | how | use HTTPS with {x}; encrypt the traffic of {x}; add a certificate to {x}
""",
    "dev": """
model       | how | find out the exact model of {x}; see the name and vendor of {x}; identify {x}
undetected  | bad | be not detected; be not recognized; not show up in the list of devices
nosuspend   | bad | stop working after suspend; be dead after waking up from sleep; not come back after standby
replug      | bad | only work after a reboot; need a restart before working; not work until I restart
""",
    "usb": """
driver      | how | install the driver for {x}; get the right driver for {x}; find a Linux driver for {x}
passvm      | how | use {x} in a virtual machine; pass {x} through to a guest system; make {x} available inside VirtualBox
firmware    | how | update the firmware of {x}; flash new firmware onto {x}; install a firmware upgrade for {x}
buylinux    | ask | buy {a} that works with Linux; choose {a} with good Linux support; find {a} that is supported by Linux
asksroot    | bad | work only as root; give a permission denied error; need root rights
""",
    "perf": """
olddriver   | bad | be slower than in Windows; work better in Windows; ^the performance of {x} is worse than in Windows
""",
    "off": """
turnoff     | set | disable {x}; turn off {x}; deactivate {x}
""",
    "loose": """
dropsout    | bad | keep disconnecting; lose {its} connection all the time; disconnect at random
""",
    "radio": """
pair        | how | pair {x} over Bluetooth; connect {x} via Bluetooth; set up {x} as a Bluetooth device
charge      | how | see the battery level of {x}; check how much charge {x} still has; show the remaining power of {x}
reconnect   | set | reconnect {x} automatically; make {x} connect by {self}; get {x} to connect without clicking
lag         | bad | lag over Bluetooth; have a noticeable delay; respond too late
""",
    "point": """
speed       | set | change the speed of {x}; make {x} slower; adjust the sensitivity of {x}
scrolldir   | set | reverse the scroll direction of {x}; turn on natural scrolling for {x}; invert scrolling with {x}
buttons     | set | swap the left and right buttons of {x}; use {x} with the left hand; set {x} up for left-handed use
""",
    "jumpy": """
jumps       | bad | make the pointer jump around; move the cursor on its own; send the pointer to random places
ghostclick  | bad | click by {self}; click twice instead of once; register double clicks by mistake
""",
    "typing": """
remap       | set | remap a key on {x}; change what a key on {x} does; swap two keys on {x}
repeatkeys  | bad | repeat letters; type every letter twice; print the same character several times
wrongkeys   | bad | type the wrong characters; produce strange symbols; give different letters than the ones printed on the keys
backlight   | set | switch on the backlight of {x}; light up the keys of {x}; change the illumination of {x}
""",
    "sound": """
default     | set | make {x} the default audio device; use {x} for all sound; set {x} as the standard sound device
louder      | set | raise the volume of {x}; make {x} louder; boost the level of {x}
testsound   | ask | test {x}; check that {x} can be heard; try out {x} before a call
silent      | bad | be silent; have no sound; ^I hear nothing from {x}
crackle     | bad | crackle; make a crackling noise; sound distorted
tooquiet    | bad | be too quiet; have a very low volume; ^I can hardly hear {x}
hum         | bad | make a humming noise; produce a constant buzz; hum even when nothing is playing
""",
    "out": """
bothout     | ask | play sound through {x} and HDMI at once; use {x} together with a second output; get audio from {x} and the TV at the same time
equalizer   | how | use an equalizer for {x}; get more bass out of {x}; adjust bass and treble of {x}
""",
    "display": """
resolution  | set | change the resolution of {x}; set {x} to full HD; use another screen size on {x}
rotate      | set | rotate the picture on {x}; turn {x} by 90 degrees; use {x} in portrait mode
mirror      | set | show the same picture on {x} and the laptop; mirror my desktop to {x}; duplicate the screen on {x}
refresh     | set | change the refresh rate of {x}; run {x} at 120 Hz; set a higher frequency for {x}
brightness  | set | adjust the brightness of {x}; make {x} darker; dim {x}
primary     | set | make {x} the primary screen; show the login window on {x}; use {x} as the main display
flicker     | bad | keep flickering; flash on and off; flicker every few seconds
black       | bad | stay black; show no picture; remain dark; get no signal
blurry      | bad | be blurry; look fuzzy; not look sharp
colors      | bad | have washed out colors; show the wrong colors; have a yellow tint
overscan    | bad | cut off the edges of the picture; hide the borders of the desktop; show only part of the desktop
""",
    "cam": """
snapshot    | how | take a picture with {x}; make a snapshot with {x}; capture a still image from {x}
record      | how | record a video with {x}; film myself with {x}; save the video stream of {x}
upsidedown  | bad | show the image upside down; turn the picture on its head; have a flipped picture
darkimage   | bad | give a very dark image; show a picture that is much too dark; need more light than in Windows
""",
    "print": """
duplex      | set | print on both sides with {x}; use two-sided printing on {x}; set up duplex mode for {x}
queue       | how | cancel all jobs on {x}; clear the print queue of {x}; delete waiting documents from {x}
shareprint  | how | share {x} on the network; print to {x} from other computers; let my family use {x} over wifi
mono        | set | print in black and white on {x}; save color ink with {x}; switch {x} to grayscale
blankpage   | bad | print only blank pages; put out empty sheets; leave the paper white
stuckjob    | bad | leave jobs stuck in the queue; not print what is in the queue; be paused for no reason
""",
    "phone": """
pullphotos  | how | copy photos from {x} to the computer; transfer pictures off {x}; download images from {x}
ascamera    | ask | use {x} as a webcam; turn {x} into a camera for video calls; stream the camera of {x} to my PC
tether      | ask | use the internet connection of {x}; go online through {x}; tether with {x}
""",
    "disk": """
format      | how | format {x}; create a new file system on {x}; set up {x} with ext4
automount   | how | mount {x} at boot; attach {x} automatically on startup; have {x} available after every reboot
encrypt     | how | encrypt {x}; protect {x} with a passphrase; put a password on {x}
badblocks   | how | check {x} for errors; scan {x} for bad sectors; test the health of {x}
clone       | how | clone {x}; make an exact copy of {x}; create an image of {x}
undelete    | how | recover deleted files from {x}; get lost data back from {x}; restore erased files on {x}
wipe        | how | wipe {x} securely; erase everything on {x} for good; overwrite {x} with zeros
benchmark   | how | measure the speed of {x}; benchmark {x}; test how fast {x} is
label       | how | rename {x}; change the label of {x}; give {x} a new name
usage       | how | see what takes up space on {x}; find the biggest files on {x}; analyze the disk usage of {x}
uuid        | how | find the UUID of {x}; get the device name of {x}; look up the identifier of {x}
shrink      | how | resize {x}; split {x} into two partitions; repartition {x}
diskfull    | bad | be full; have no space left; be out of space
readonly    | bad | be read-only; be write protected; ^I cannot write to {x}
nomount     | bad | wont mount; fail to mount; cannot be mounted
diskslow    | bad | be very slow; write at a snail's pace; take forever to copy files
""",
    "removable": """
eject       | how | eject {x} safely; remove {x} without losing data; unmount {x} before pulling it out
bootable    | ask | make {a} bootable; boot from {a}; install Linux from {a}
ejectbad    | bad | cannot be ejected; be always busy; refuse to unmount
wrongsize   | bad | show the wrong size; have less space than advertised; report only half of {its} capacity
notlisted   | bad | not show up in the file manager; be missing from the sidebar; be invisible after plugging in
winbad      | bad | be not readable in Windows; cannot be opened on a Windows PC; work in Linux but not in Windows
""",
    "share": """
sharemount  | how | mount {x} at boot; connect {x} automatically on startup; have {x} available after every reboot
sharesync   | how | synchronize a directory with {x}; keep a local copy of {x} up to date; mirror my documents to {x}
shareguest  | how | access {x} without a password; allow guests on {x}; open {x} to everyone
sharebackup | how | back up my files to {x}; save a nightly backup on {x}; store my backups on {x}
sharefind   | bad | not appear in the network list; be not visible in the file manager; be missing under network places
sharedenied | bad | deny access; reject my password; say that permission is denied
shareslow   | bad | be slow over the network; copy files very slowly; transfer data at a crawl
sharestale  | bad | disappear when the connection drops; hang when the network is gone; block the file manager when it is offline
""",
    "file": """
bulkrename  | how | rename many {b} at once; change the names of {x} in bulk; rename {x} in one batch
duplicates  | how | find duplicate {b}; delete {b} that exist twice; detect identical {b}
bringback   | how | recover deleted {b}; get back {b} that I removed; restore {b} after emptying the trash
locking     | how | protect {x} with a password; encrypt {x}; lock {x} so that nobody else can read {it}
sorting     | how | sort {x} by date; order {x} by age; list {x} with the newest first
autobackup  | how | back up {x} every day; save copies of {x} automatically; keep a nightly backup of {x}
sync        | how | synchronize {x} between two computers; keep {x} the same on both machines; sync {x} with my other PC
sendbig     | ask | send large {b} to a friend; share huge {b} with other people; transfer very big {b} to someone else
oldones     | how | delete {b} older than a month; remove old {b} automatically; clean up {b} that I no longer need
owner       | how | change the permissions of {x}; make {x} writable for everyone; let other users edit {x}
fromcloud   | how | upload {x} to the cloud; store {x} in online storage; put {x} on a cloud drive
countthem   | how | count {x} in a directory; find out how many {b} there are; get the number of {b} below a directory
cantdelete  | bad | cannot be deleted; refuse to be removed; ^I am not allowed to delete {x}
oddnames    | bad | have strange characters in {its} names; show question marks instead of accents in {its} names; have garbled names
damaged     | bad | be corrupted; be damaged after copying; be broken since the transfer
vanish      | bad | have disappeared; be gone; be suddenly missing
""",
    "text_file": """
searchin    | how | search inside {x}; find a word in many {b}; look for some text across all my {b}
mergethem   | how | merge several {b} into one; join {x} together; combine {b} into a single file
splitthem   | how | split {x} into parts; cut {b} into smaller pieces; divide large {b}
comparethem | how | compare two {b}; see the differences between two {b}; find out what changed between {b}
garbled     | bad | show garbled text; open with unreadable characters; have the wrong encoding
""",
    "media_file": """
shrinkthem  | how | reduce the size of {x}; compress {x}; make {x} smaller
convertthem | how | convert {x} to another format; change the format of {x}; turn {x} into a different file type
metadata    | how | remove the metadata from {x}; edit the tags of {x}; strip private details from {x}
defaultapp  | bad | open in the wrong program; start the wrong application; not open in my favorite program
""",
    "visual": """
nopreview   | bad | have no thumbnails; show no preview; not get preview pictures in the file manager
""",
    "print_file": """
printthem   | how | print {x} from the command line; send {x} to the printer without opening {it}; print all my {b} in one go
wrongprint  | bad | look wrong when printed; be cut off on paper; come out too small on paper
twoper      | how | put two {b} on one sheet of paper; print several {b} per page; save paper when printing {x}
""",
    "look": """
uireset     | set | reset {x} to the defaults; restore the original look of {x}; undo my changes to {x}
uicolor     | set | change the color of {x}; give {x} a different color; make {x} blue
customize   | set | customize the look of {x}; change the style of {x}; choose another design for {x}
oldstyle    | ask | get the old style of {x} back; make {x} look like in earlier versions; return to the previous design of {x}
uilost      | bad | change back by {self}; reset at every login; not keep my changes
uiflash     | bad | keep flickering; flash on and off; blink all the time
""",
    "widget": """
hide        | set | hide {x}; get rid of {x}; remove {x} from view
uisize      | set | make {x} bigger; change the size of {x}; enlarge {x}
uigone      | bad | have disappeared; be gone; be missing
uismall     | bad | be too small on a high resolution screen; be tiny on my 4K monitor; not scale with the display
uilag       | bad | react slowly; respond with a delay; lag behind
""",
    "ui": """
opacity     | set | make {x} transparent; change the opacity of {x}; let the background show through {x}
uiwrong     | bad | appear on the wrong monitor; show up on the other screen; move to the second display
""",
    "bar": """
barmove     | set | move {x} to the bottom of the screen; put {x} on the left side; place {x} at another edge of the screen
autohide    | set | hide {x} automatically; show {x} only when the mouse is near; make {x} slide away when not needed
barpin      | set | pin a program to {x}; add a launcher to {x}; keep an icon in {x}
allscreens  | set | show {x} on all monitors; have {x} on every screen; put {x} on both displays
barfreeze   | bad | stop reacting to clicks; be frozen; not respond to the mouse
baricons    | bad | show no icons; have blank icons; be empty
""",
    "picture": """
setpicture  | set | use my own photo for {x}; set a custom picture for {x}; choose an image of mine for {x}
slideshow   | set | show a slideshow as {x}; rotate several pictures on {x}; change the image of {x} every hour
permonitor  | set | use a different {n} on each monitor; have a separate {n} per screen; set one {n} for every display
picstretch  | bad | be stretched; have the wrong proportions; look distorted on a wide screen
picblack    | bad | be just black; show nothing but black; turn black
""",
    "net": """
autoconnect | set | connect {x} automatically at boot; bring up {x} at startup; have {x} up before I log in
cmdline     | how | start {x} from a script; bring up {x} without a graphical interface; control {x} without a desktop
staticip    | set | set a static IP address for {x}; use a fixed address with {x}; give {x} a permanent IP
dns         | set | change the DNS server of {x}; use another name server with {x}; set a custom DNS for {x}
netspeed    | how | measure the speed of {x}; test how fast {x} is; benchmark {x}
traffic     | how | see how much data {x} has used; monitor the traffic on {x}; count the bytes that go over {x}
limitrate   | set | limit the bandwidth of {x}; throttle downloads over {x}; cap the speed of {x}
priority    | set | prefer {x} over other connections; give {x} a higher priority; use {x} first when several networks are available
shareconn   | set | share {x} with another computer; let other devices use {x}; pass the internet from {x} on to a second machine
netslow     | bad | be very slow; have low throughput; crawl
netdrop     | bad | keep dropping; disconnect every few minutes; be interrupted all the time
noinet      | bad | be connected without internet access; claim to be connected without loading any page; ^no website opens over {x}
askpass     | bad | keep asking for the password; want the password again and again; not remember the password
netgrey     | bad | be greyed out in the settings; be missing from the network menu; cannot be enabled
netsleep    | bad | be gone after suspend; not come back after sleep; need a restart after standby
""",
    "radio_net": """
showkey     | how | show the saved password of {x}; find the key of {x} that I have stored; read out the passphrase of {x}
hidden      | set | hide the name of {x}; use {x} with a hidden network name; make {x} invisible to others
channel     | set | change the channel of {x}; move {x} to the 5 GHz band; choose a less crowded frequency for {x}
weaksignal  | bad | have a weak signal; reach only the next room; lose signal strength
""",
    "machine": """
timedoff    | set | shut down {x} at a certain time; turn off {x} every night; power off {x} on a schedule
fastboot    | ask | make {x} boot faster; speed up the startup of {x}; shorten the boot time of {x}
wakelan     | ask | wake up {x} over the network; turn on {x} remotely; start {x} from another room
temperature | how | see the temperature of {x}; monitor how hot {x} gets; read the heat sensors of {x}
specs       | how | list the hardware of {x}; find out what is built into {x}; see the specs of {x}
ramcount    | how | check how much memory {x} has; see the amount of RAM in {x}; find out the size of the memory of {x}
nosleep     | set | stop {x} from going to sleep; prevent {x} from suspending; keep {x} awake
remote      | how | control {x} remotely; access the desktop of {x} from elsewhere; work on {x} from another computer
reinstall   | ask | reinstall Linux on {x}; set up {x} from scratch; put a fresh system on {x}
dualboot    | ask | install two operating systems on {x}; set up dual boot on {x}; run Linux next to another system on {x}
wholebackup | how | back up all of {x}; save a complete image of {x}; make a full backup of {x}
stress      | how | run a stress test on {x}; put {x} under full load; check that {x} is stable
powersave   | set | reduce the power consumption of {x}; make {x} use less electricity; save energy on {x}
overheat    | bad | get too hot; overheat; run at 90 degrees
slowboot    | bad | boot very slowly; take minutes to start; need ages until I can log in
hangs       | bad | freeze completely; lock up at random; hang until I pull the plug
stuckboot   | bad | be stuck at the logo; not get past the boot screen; stop with a black screen at startup
reboots     | bad | restart by {self}; reboot at random; switch off and on again
nopoweroff  | bad | not shut down; wont power off; hang at shutdown
nowake      | bad | not wake up from sleep; stay asleep after suspend; wont resume from standby
pcslow      | bad | be getting slower and slower; be much slower than before; have become very slow
""",
    "headless": """
noscreen    | ask | run {x} without a monitor; use {x} with no screen attached; set up {x} without a display
sshin       | how | log in to {x} over SSH; open a remote shell on {x}; connect to {x} with SSH
uptime      | how | see how long {x} has been running; check the uptime of {x}; find the last reboot of {x}
""",
    "battery": """
chargelimit | set | limit the charge of {x} to 80 percent; stop {x} from charging fully; set a charging threshold for {x}
wear        | how | check the health of {x}; see how worn out {x} is; find out the remaining capacity of {x}
longer      | ask | make {x} last longer; extend the runtime of {x}; get more hours out of {x}
lowwarn     | set | get a warning before {x} is empty; be notified when {x} is low; show an alert when {x} runs out
drains      | bad | drain too fast; be empty after an hour; lose charge very quickly
nocharge    | bad | not charge; stay at zero percent; wont charge beyond half
wrongpct    | bad | show the wrong percentage; report a false charge level; jump from 40 percent to empty
""",
    "fan": """
fanspeed    | set | control the speed of {x}; make {x} spin slower; set a fixed speed for {x}
fanread     | how | see how fast {x} is spinning; read the revolutions of {x}; monitor {x}
fanloud     | bad | be very loud; make a lot of noise; sound like a jet engine
fanalways   | bad | run all the time; never stop; spin even when the computer is idle
fandead     | bad | not spin; never turn on; stand still while the CPU gets hot
""",
    "password": """
pwchange    | how | change {x}; set a new {n}; pick another {n}
pwforgot    | ask | reset {x} when I have forgotten {it}; get in again after losing {x}; recover a lost {n}
pwnone      | set | log in without {x}; turn off {x}; skip {x} at startup
pwpolicy    | how | require a stronger {n}; set a minimum length for {x}; forbid a weak {n}
pwrejected  | bad | be rejected; be not accepted; be always wrong at the login prompt
""",
    "account": """
acadd       | how | add {a}; create a new {n}; set up another {n}
acdelete    | how | delete {a}; remove {a} with all of its files; get rid of {a}
acadmin     | how | give {a} administrator rights; make {a} an admin; allow {a} to use sudo
acrename    | how | rename {a}; change the name of {a}; give {a} a different login name
aclimit     | how | restrict {a} to a few programs; limit what {a} can do; lock down {a} for children
aclocked    | bad | be locked; be blocked after too many attempts; be not allowed to log in
acmissing   | bad | be missing from the login screen; not appear at login; be not offered when I sign in
""",
    "grub": """
grubtime    | set | change the timeout of {x}; make {x} wait longer; shorten the countdown in {x}
grubdefault | set | change the default entry in {x}; start another system by default in {x}; put a different system first in {x}
grubfix     | how | repair {x}; reinstall {x}; get {x} working again after installing Windows
grubclean   | how | remove old entries from {x}; clean up {x}; delete a system from {x}
grubhide    | bad | not show up at startup; be skipped at boot; be never displayed
grubwin     | bad | not list Windows; have no entry for Windows; be missing the other operating system
""",
    "kernel": """
kold        | how | remove old versions of {x}; delete unused copies of {x}; free the space taken by previous versions of {x}
kparam      | how | add a boot parameter for {x}; pass an option to {x} at startup; set a command line argument for {x}
kmodule     | how | load a module into {x}; add a module to {x}; insert a driver module into {x}
kboot       | how | boot an older version of {x}; start the computer with a previous version of {x}; choose another version of {x} at boot
kpanic      | bad | panic at boot; stop with a panic message; crash before the login screen
""",
    "swap": """
swadd       | how | add {a}; create {a}; set up {a}
swgrow      | how | make {x} bigger; increase the size of {x}; enlarge {x}
swoff       | how | turn off {x}; disable {x}; run the system without {a}
swless      | how | make the system use {x} less; keep programs out of {x}; lower the use of {x}
swfull      | bad | be always full; fill up quickly; be used up after a day
swunused    | bad | be never used; stay empty; be not active after boot
""",
    "updates": """
upauto      | set | install {x} automatically; apply {x} without being asked; let the computer handle {x} by itself
upoff       | set | turn off {x}; disable {x}; stop {x} from running
upundo      | how | undo {x}; roll back {x}; return to the state before {x}
uphistory   | how | see which {n} were installed; list past {n}; view the history of {x}
upfail      | bad | fail with an error; stop halfway; end with an error message
upslow      | bad | take hours; download very slowly; never finish
uplock      | bad | be blocked by another process; complain about a lock file; wait for another package manager
""",
    "repo": """
rpadd       | how | add {a}; enable {a}; install software from {a}
rpremove    | how | remove {a}; disable {a}; delete {a} from my sources
rplist      | how | list the packages in {a}; see what {a} offers; show all software from {a}
rpown       | how | create my own {n}; set up a private {n}; publish packages in my own {n}
rpkey       | bad | have an expired key; be not signed; give a signature error
rp404       | bad | be not found; give a 404 error; be no longer available
""",
    "job": """
jbboot      | how | run {a} at boot; start {a} when the computer starts; execute {a} on startup
jbhour      | how | run {a} every hour; repeat {a} at regular intervals; execute {a} once per hour
jbmail      | how | get an email when {a} fails; be notified about errors in {a}; receive an alert when {a} goes wrong
jblog       | how | write the output of {a} to a log; save the messages of {a} in a file; log what {a} does
jbstop      | how | stop {a}; kill {a} that is running; cancel {a}
jbroot      | how | run {a} as root; execute {a} with administrator rights; start {a} with sudo
jbdebug     | how | debug {a}; find the error in {a}; trace {a} line by line
jbonce      | how | make sure that {a} runs only once at a time; keep {a} from running twice; avoid parallel runs of {a}
jbnorun     | bad | not run; be never executed; be not started
jbpath      | bad | cannot find {its} commands; say command not found; work by hand but not on its own
jbdenied    | bad | give a permission denied error; be not executable; be not allowed to run
""",
    "sysclock": """
ckset       | set | set {x} by hand; change {x}; correct {x}
cksync      | set | synchronize {x} with a time server; keep {x} exact over the internet; get {x} from the network
ckzone      | set | change the time zone of {x}; move {x} to another time zone; set {x} to UTC
ckwrong     | bad | be wrong after every reboot; be off by an hour; differ between Windows and Linux
ckdrift     | bad | run too fast; lose a minute every day; drift
""",
    "layout": """
lyadd       | set | add a second {n}; set up another {n}; install one more {n}
lyswitch    | set | switch {x} with a key; change {x} quickly; toggle {x} with a shortcut
lyperwin    | set | use a different {n} for each window; remember {x} per program; set {x} separately for every window
lyown       | how | make my own {n}; design a custom {n}; modify {a}
lyreset     | bad | change back by {self}; reset at every login; not keep my choice
lylogin     | bad | be wrong at the login screen; be English when I sign in; differ before and after login
""",
    "nightlight": """
nlon        | set | turn on {x}; enable {x}; activate {x}
nltime      | set | start {x} at sunset; schedule {x}; set the hours for {x}
nlwarm      | set | make {x} warmer; change the color temperature of {x}; adjust the strength of {x}
nlnothing   | bad | have no effect; do nothing; not change the colors
nlstays     | bad | stay on during the day; wont turn off; remain active after sunrise
""",
    "clipboard": """
cbhistory   | how | see old entries of {x}; show earlier contents of {x}; keep several entries in {x}
cbclear     | how | clear {x}; empty {x}; delete the contents of {x}
cbscript    | how | use {x} in a script; put the output of a command into {x}; copy a file into {x} from a program
cbshare     | how | share {x} with a virtual machine; use the same {n} on two computers; sync {x} between host and guest
cblost      | bad | lose {its} contents when a program is closed; be empty after closing a window; forget what I copied
cbmiddle    | bad | paste by accident with the middle button; insert text when I press the mouse wheel; get pasted when I scroll
""",
    "git": """
gtclone     | how | download {a}; clone {a}; get a copy of {a}
gtundo      | how | undo the last change in {a}; go back one commit in {a}; revert the newest commit in {a}
gtsize      | how | make {a} smaller; remove big files from {a}; shrink {a}
gtmove      | how | move {a} to another server; migrate {a}; change the remote address of {a}
gtpush      | bad | reject my push; not accept my commits; refuse to take my changes
gtpass      | bad | ask for a password every time; not remember my login; want my credentials at every push
""",
}

# ---- The grammar: ways of asking ------------------------------------------------------------------------------------
#
# name: (weight, templates); one of the templates is taken. A context may stand at {t}.

HOW_WAYS = {
    "how-do": (5, ["How do I {vp}{t}?", "How can I {vp}{t}?", "How could I {vp}{t}?"]),
    "how-to": (5, ["How to {vp}{t}?", "How to {vp}{t}"]),
    "is-there": (3, ["Is there a way to {vp}{t}?", "Is there any way to {vp}{t}?", "Any way to {vp}{t}?"]),
    "best-way": (3, ["Best way to {vp}{t}?", "What is the best way to {vp}{t}?", "Easiest way to {vp}{t}",
                     "What's the easiest way to {vp}{t}?"]),
    "command": (2, ["What is the command to {vp}?", "Which command do I need to {vp}?", "Command to {vp}?"]),
    "possible": (3, ["Is it possible to {vp}{t}?", "Can I {vp}{t}?"]),
    "want": (2, ["I want to {vp}, what do I have to do?", "I would like to {vp}{t}, any hints?",
                 "I'd like to {vp}, where do I start?", "Trying to {vp}{t}, any hints?"]),
    "gerund": (2, ["Need help {ing}{t}", "{Ing}{t}", "{Ing}: how does it work?"]),
    "which-tool": (2, ["Which tool lets me {vp}{t}?", "Is there a program to {vp}{t}?", "What do I need to {vp}{t}?"]),
    "where": (1, ["Where is the setting to {vp}{t}?", "Where can I find the option to {vp}{t}?"]),
    "cannot": (2, ["I can't figure out how to {vp}{t}", "Can someone explain how to {vp}{t}?", "No idea how to {vp}{t}",
                   "Can anyone tell me how to {vp}{t}?"]),
    "what-if": (1, ["What should I do to {vp}{t}?", "What steps are needed to {vp}{t}?"]),
}
HOW_CONTEXTS = ["in Ubuntu", "on Ubuntu 22.04", "on Ubuntu 24.04", "on Linux", "on Linux Mint", "in Debian", "in Kubuntu",
                "in Xubuntu", "on Fedora", "from the command line", "from the terminal"]

BAD_WAYS = {
    "statement": (5, ["{X} {fin}{t}"]),
    "headline": (4, ["{Head}{t}"]),
    "why": (5, ["Why {inv}{t}?"]),
    "what-to-do": (3, ["{X} {fin}, what can I do?", "What can I do when {x} {fin}?", "What should I do if {x} {fin}?"]),
    "how-fix": (3, ["{X} {fin}, how do I fix this?", "{X} {fin}{t} - how to solve this?", "How to fix it when {x} {fin}?"]),
    "fix-that": (3, ["How do I fix {a} that {fin}?", "How to repair {a} that {fin}{t}?", "Is there a fix for {a} that {fin}?"]),
    "any-idea": (3, ["Any idea why {x} {fin}{t}?", "Does anyone know why {x} {fin}?", "{X} {fin}, any ideas?"]),
    "find-out": (2, ["How can I find out why {x} {fin}{t}?", "Trying to understand why {x} {fin}{t}"]),
    "help": (2, ["Help, {x} {fin}{t}", "Help needed: {x} {fin}", "Please help, {x} {fin}{t}"]),
    "reason": (2, ["What could be the reason that {x} {fin}{t}?", "What does it mean when {x} {fin}?"]),
    "dont-know": (1, ["{X} {fin} and I don't know why", "{X} {fin} and nothing seems to help"]),
    "system": (2, ["Ubuntu 22.04: {x} {fin}", "Linux Mint: {x} {fin}", "Ubuntu 24.04: {x} {fin}"]),
}
BAD_CONTEXTS = ["after an update", "after the last update", "after upgrading to 24.04", "after upgrading Ubuntu",
                "since yesterday", "on Ubuntu 22.04", "in Ubuntu", "on Linux Mint", "in Debian", "on Fedora",
                "after a fresh install", "with the new kernel", "since the upgrade"]
UNSUITED = {"how": {"where"}, "set": set(), "ask": {"where", "command", "which-tool"}, "bad": set()}
INVERTIBLE, ATTRIBUTIVE = {"why"}, {"fix-that"}  # not for whole clauses; not for names

LOWER_CASE, NO_QUESTION_MARK, CONTEXT, CONTRACTION = 0.06, 0.2, 0.35, 0.5  # probabilities

# ---- Words ----------------------------------------------------------------------------------------------------------

DOUBLED = {"set", "get", "put", "stop", "run", "swap", "remap", "split", "cut", "pin", "shut", "dim", "log", "scan",
           "strip", "forbid", "skip", "cap", "format", "transfer", "prefer",
           "control", "debug", "let", "reset"}
AN = {"RSS", "FTP", "SSH", "NVIDIA", "SD", "MP3", "LTE"}  # by the sound of the letters
A = {"USB", "user"}


class Noun:
    def __init__(self, text):
        self.mark = text[-1] if text[-1] in "=!+~" else ""
        self.text = text.rstrip("=!+~")
        self.plural = self.mark == "+"

    def definite(self, article):
        if self.mark == "=":
            return self.text
        return f"{'the' if self.mark == '!' else article} {self.text}"

    def indefinite(self):
        if self.mark == "!":
            return f"the {self.text}"
        return self.text if self.mark else f"{article_of(self.text)} {self.text}"


def article_of(text):
    first = re.split(r"[ -]", text)[0]
    return "an" if first in AN or (first[0] in "aeioAEIO" and first not in A) else "a"


def gerund(phrase):
    verb, _, rest = phrase.partition(" ")
    if verb in DOUBLED:
        verb += verb[-1] + "ing"
    elif verb.endswith("e") and not verb.endswith("ee") and verb != "be":
        verb = verb[:-1] + "ing"
    else:
        verb += "ing"
    return f"{verb} {rest}".strip()


def third_person(verb):
    irregular = {"have": "has", "do": "does", "go": "goes"}
    if verb in irregular:
        return irregular[verb]
    if re.search(r"(s|sh|ch|x|z)$", verb):
        return verb + "es"
    return verb[:-1] + "ies" if re.search(r"[^aeiou]y$", verb) else verb + "s"


def finite(predicate, plural, short):
    """`not start` -> `does not start`; `short` contracts it."""
    verb, _, rest = predicate.partition(" ")
    if verb in {"only", "never"}:
        head, _, tail = rest.partition(" ")
        return f"{verb} {head if plural else third_person(head)} {tail}".strip()
    if verb == "be":
        verb = "are" if plural else "is"
    elif verb == "not":
        verb = ("don't" if plural else "doesn't") if short else ("do not" if plural else "does not")
    elif verb == "wont":
        verb = "won't" if short else "will not"
    elif verb == "cannot":
        verb = "can't" if short else "cannot"
    elif not plural:
        verb = third_person(verb)
    return f"{verb} {rest}".strip()


def inverted(predicate, subject, plural, short):
    """`not start` -> `does my printer not start` or `doesn't my printer start`."""
    verb, _, rest = predicate.partition(" ")
    if verb == "be":
        return f"{'are' if plural else 'is'} {subject} {rest}"
    if verb in {"not", "wont", "cannot"}:
        auxiliary = {"not": "do" if plural else "does", "wont": "will", "cannot": "can"}[verb]
        if short:
            return f"{ {'will': 'wo', 'can': 'ca'}.get(auxiliary, auxiliary)}n't {subject} {rest}"
        return f"{auxiliary} {subject} not {rest}"
    if verb == "have" and rest.split()[0] in {"disappeared", "become"}:
        return f"{'have' if plural else 'has'} {subject} {rest}"
    return f"{'do' if plural else 'does'} {subject} {predicate}"


def capital(text):
    return text[0].upper() + text[1:]


def words(text):
    return re.findall(r"[a-z0-9%]+", text.lower().replace("'", ""))


def normal(text):
    return " ".join(words(text))


# ---- Intents and titles ---------------------------------------------------------------------------------------------


def parse(table, columns):
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.strip()]
    assert all(len(row) == columns for row in rows), rows
    return rows


def load_grammar():
    """({object: [Noun]}, {(object, action): (kind, [wording])}), with the group as part of an action's name."""
    actions = {g: [(f"{g}.{name}", kind, forms.split("; ")) for name, kind, forms in parse(t, 3)] for g, t in ACTIONS.items()}
    nouns, intents = {}, {}
    for name, groups, forms in parse(OBJECTS, 3):
        nouns[name] = [Noun(form) for form in forms.split("; ")]
        for action, kind, wordings in (row for group in groups.split() for row in actions[group]):
            assert len(wordings) >= 3 and len(nouns[name]) >= 2 and kind in UNSUITED, (name, action)
            intents[name, action] = (kind, wordings)
    texts = [noun.text for forms in nouns.values() for noun in forms]
    assert len(texts) == len(set(texts)), "a noun stands for two objects"
    return nouns, intents


def context(rng, body, choices):
    """A context that suits the sentence so far, or none."""
    if rng.random() >= CONTEXT:
        return ""
    chosen = rng.choice(choices)
    place = chosen.split()[0]
    said = set(words(body))
    clash = {"in": {"in", "on", "linux", "windows"}, "on": {"in", "on", "linux", "windows"},
             "from": {"from", "terminal", "console", "command", "shell", "graphical", "desktop", "click"},
             "after": {"after", "when", "until", "every", "before", "since", "reboot"},
             "since": {"after", "when", "until", "every", "before", "since", "once"},
             "with": {"with", "kernel", "after", "when", "until"}}[place]
    return "" if said & clash else f" {chosen}"


def ways_of(kind):
    return BAD_WAYS if kind == "bad" else HOW_WAYS


def make_title(rng, kind, noun, wording, way):
    """One sentence, or None where the way does not suit the noun or the wording."""
    if way in UNSUITED[kind]:
        return None
    template = rng.choice(ways_of(kind)[way][1])
    article = rng.choice(["my", "my", "the"])
    slots = {"x": noun.definite(article), "a": noun.indefinite(), "n": noun.text, "b": noun.text,
             "it": "them" if noun.plural else "it", "its": "their" if noun.plural else "its",
             "self": "themselves" if noun.plural else "itself"}
    if kind != "bad":
        vp = wording.format(**slots)
        if way == "gerund" and vp.startswith("have "):
            return None
        contexts = [c for c in HOW_CONTEXTS if kind != "ask" or not c.startswith("from")]
        title = template.format(vp=vp, ing=gerund(vp), Ing=capital(gerund(vp)), t=context(rng, vp, contexts))
    else:
        short = rng.random() < CONTRACTION
        if wording.startswith("^"):
            clause = wording[1:].format(**slots)
            if way in INVERTIBLE | ATTRIBUTIVE or " when " in clause and re.search(" (when|if) {x}", template):
                return None
            tail = context(rng, clause, BAD_CONTEXTS)
            template = template.replace("{X} {fin}", "{C}").replace("{x} {fin}", "{c}").replace("{Head}", "{C}")
            title = template.format(c=clause, C=capital(clause), t=tail)
        else:
            if way in ATTRIBUTIVE and noun.mark in {"=", "!"}:
                return None
            predicate = wording.format(**slots)
            fin = finite(predicate, noun.plural, short)
            head = f"{noun.text} {re.sub('^(is|are) ', '', fin)}"
            title = template.format(**{**slots, "X": capital(slots["x"])}, fin=fin, Head=capital(head),
                                    inv=inverted(predicate, slots["x"], noun.plural, short),
                                    t=context(rng, predicate, BAD_CONTEXTS))
    if rng.random() < NO_QUESTION_MARK:
        title = title.rstrip("?")
    named = title.startswith(("I ", "Ubuntu", "Linux", noun.text)) or not title[1].islower()
    if rng.random() < LOWER_CASE and not named:
        title = title[0].lower() + title[1:]
    return title


class Writer:
    """Makes titles, each at most once, and remembers what they mean."""

    def __init__(self, rng, nouns, intents):
        self.rng, self.nouns, self.intents = rng, nouns, intents
        self.meaning = {}  # normal form -> intent
        self.used = set()  # (object, noun) and (action, wording)
        self.vocabulary = None  # where set, titles with other words are thrown away

    def pick_way(self, kind, unwanted=()):
        ways = ways_of(kind)
        names = [name for name in ways if name not in UNSUITED[kind].union(unwanted)]
        return self.rng.choices(names, [ways[name][0] for name in names])[0]

    def write(self, intent, way=None, unwanted_ways=(), form=None):
        """(title, way, noun, wording) of an intent, or None; `form` fixes the noun and the wording."""
        kind, wordings = self.intents[intent]
        way = way or self.pick_way(kind, unwanted_ways)
        noun, wording = form or (self.rng.choice(self.nouns[intent[0]]), self.rng.choice(wordings))
        title = make_title(self.rng, kind, noun, wording, way)
        if title is None or not 4 <= len(title.split()) <= 20 or len(title) < 10:
            return None
        key = normal(title)
        assert self.meaning.get(key, intent) == intent, f"{title!r} means {intent} and {self.meaning[key]}"
        if key in self.meaning or self.vocabulary is not None and not self.vocabulary.issuperset(key.split()):
            return None
        self.meaning[key] = intent
        self.used.add((intent[0], noun.text))
        self.used.add((intent[1], wording))
        return title, way, noun, wording


# ---- The two sides --------------------------------------------------------------------------------------------------


def choose_held_out(rng, intents):
    """HELD_OUT_ACTIONS actions of each of HELD_OUT_OBJECTS objects, all of them trained with enough other objects."""
    by_object, uses = defaultdict(list), Counter()
    for name, action in intents:
        by_object[name].append(action)
        uses[action] += 1
    order = sorted(name for name, actions in by_object.items() if len(actions) >= 3 * HELD_OUT_ACTIONS)
    rng.shuffle(order)
    held, taken = [], Counter()
    for name in order:
        free = [action for action in by_object[name] if uses[action] >= 6 and 3 * (taken[action] + 1) <= uses[action]]
        if len(free) >= HELD_OUT_ACTIONS and len(held) < HELD_OUT_OBJECTS * HELD_OUT_ACTIONS:
            for action in rng.sample(free, HELD_OUT_ACTIONS):
                held.append((name, action))
                taken[action] += 1
    assert len(held) == HELD_OUT_OBJECTS * HELD_OUT_ACTIONS, len(held)
    return held


def make_training_titles(writer, intent):
    """About TITLES_PER_INTENT titles; the wordings take turns."""
    wordings = writer.rng.sample(writer.intents[intent][1], len(writer.intents[intent][1]))
    forms = [(writer.rng.choice(writer.nouns[intent[0]]), wordings[i % len(wordings)]) for i in range(TITLES_PER_INTENT)]
    return [made[0] for made in (writer.write(intent, form=form) for form in forms) if made]


def make_positives(writer, intent, query, count):
    """Other ways of asking, with another noun or another wording or both."""
    _, way, noun, wording = query
    forms = [form for form in product(writer.nouns[intent[0]], writer.intents[intent][1]) if form != (noun, wording)]
    titles, ways = [], {way}
    while len(titles) < count:
        made = writer.write(intent, unwanted_ways=ways, form=writer.rng.choice(forms))
        if made:
            titles.append(made[0])
            ways.add(made[1])
    return titles


def write_until(writer, intents, way=None):
    while True:
        made = writer.write(writer.rng.choice(intents), way)
        if made:
            return made[0]


def make_query(writer, intent, held):
    """One line of rerank.jsonl: 2-4 positives, 6 of the same object, up to 4 of the same action, rest asked the same way."""
    rng, (name, action) = writer.rng, intent
    kind = writer.intents[intent][0]
    query = None
    while query is None:
        query = writer.write(intent)
    positive = make_positives(writer, intent, query, rng.randint(2, 4))
    same_object = [other for other in held if other[0] == name and other != intent]
    same_action = [other for other in held if other[1] == action and other != intent]
    others = [other for other in held if other[0] != name and other[1] != action]
    same_way = [other for other in others if (writer.intents[other][0] == "bad") == (kind == "bad")]
    negative = [write_until(writer, [other]) for other in same_object for _ in range(2)]
    negative += [write_until(writer, [other]) for other in rng.sample(same_action, min(4, len(same_action)))]
    while len(positive) + len(negative) < CANDIDATES:
        negative.append(write_until(writer, same_way, query[1]))
    return {"query": query[0], "positive": positive, "negative": negative}


def make_corpus():
    nouns, intents = load_grammar()
    rng = random.Random(SEED)
    held = choose_held_out(rng, intents)
    writer = Writer(rng, nouns, intents)
    trained = [intent for intent in intents if intent not in held]
    sentences = [title for intent in trained for title in make_training_titles(writer, intent)]
    rng.shuffle(sentences)
    check_coverage(writer, held)
    writer.vocabulary = {word for sentence in sentences for word in words(sentence)}
    queries = [make_query(writer, intent, held) for intent in held]
    check_rules(writer, sentences, queries, held)
    return sentences, queries, trained, held


def check_coverage(writer, held):
    """What the held-out titles will be made of has been trained."""
    for intent in held:
        parts = {(intent[0], noun.text) for noun in writer.nouns[intent[0]]}
        parts |= {(intent[1], wording) for wording in writer.intents[intent][1]}
        assert parts <= writer.used, f"never trained: {parts - writer.used}"


def check_rules(writer, sentences, queries, held):
    keys = [normal(sentence) for sentence in sentences]
    assert len(keys) == len(set(keys)), "a sentence stands twice"
    assert all(len(sentence) >= 10 and sentence == sentence.strip() for sentence in sentences)
    held_titles = [title for q in queries for title in [q["query"], *q["positive"], *q["negative"]]]
    held_keys = [normal(title) for title in held_titles]
    assert len(held_keys) == len(set(held_keys)), "a held-out title stands twice"
    assert not set(keys) & set(held_keys), "a sentence is on both sides"
    trained_meanings = {writer.meaning[key] for key in keys}
    held_meanings = {writer.meaning[key] for key in held_keys}
    assert held_meanings == set(held) and not trained_meanings & held_meanings, "an intent is on both sides"
    for q in queries:
        meaning = writer.meaning[normal(q["query"])]
        assert 2 <= len(q["positive"]) <= 4 and len(q["positive"]) + len(q["negative"]) == CANDIDATES
        assert all(writer.meaning[normal(title)] == meaning for title in q["positive"])
        assert all(writer.meaning[normal(title)] != meaning for title in q["negative"])
    trained_words = Counter(word for sentence in sentences for word in words(sentence))
    unknown = {word for title in held_titles for word in words(title)} - set(trained_words)
    assert not unknown, f"held-out words never trained: {sorted(unknown)}"
    assert {o for o, _ in held_meanings} <= {o for o, _ in trained_meanings}
    assert {a for _, a in held_meanings} <= {a for _, a in trained_meanings}


# ---- Lexical baselines ----------------------------------------------------------------------------------------------


def average_precision(scored):
    """Of (score, relevant) pairs; equal scores share a threshold, as in scikit-learn."""
    total = sum(relevant for _, relevant in scored)
    hits = seen = 0
    result = 0.0
    for score in sorted({score for score, _ in scored}, reverse=True):
        group = [relevant for other, relevant in scored if other == score]
        hits, seen = hits + sum(group), seen + len(group)
        result += sum(group) / total * hits / seen
    return result


def baselines(sentences, queries):
    documents = [Counter(words(sentence)) for sentence in sentences]
    seen_in = Counter(word for document in documents for word in document)
    idf = {word: math.log(1 + (len(documents) - n + 0.5) / (n + 0.5)) for word, n in seen_in.items()}
    mean_length = sum(sum(document.values()) for document in documents) / len(documents)

    def bm25(query, text, k1=1.2, b=0.75):
        counts, length = Counter(words(text)), len(words(text))
        norm = k1 * (1 - b + b * length / mean_length)
        return sum(idf[w] * counts[w] * (k1 + 1) / (counts[w] + norm) for w in set(words(query)))

    def tfidf(query, text):
        p, q = ({w: n * idf[w] for w, n in Counter(words(s)).items()} for s in (query, text))
        return sum(p[w] * q.get(w, 0) for w in p) / math.sqrt(sum(v * v for v in p.values()) * sum(v * v for v in q.values()))

    def counts(query, text):
        p, q = Counter(words(query)), Counter(words(text))
        return sum(p[w] * q[w] for w in p) / math.sqrt(sum(v * v for v in p.values()) * sum(v * v for v in q.values()))

    def jaccard(query, text):
        p, q = set(words(query)), set(words(text))
        return len(p & q) / len(p | q)

    chance = random.Random(0)
    scorers = {"BM25": bm25, "TF-IDF cosine": tfidf, "word-count cosine": counts, "Jaccard": jaccard,
               "random order": lambda *_: chance.random()}
    repeats = {"random order": 20}
    for name, scorer in scorers.items():
        values = [average_precision([(round(scorer(q["query"], text), 12), relevant)
                                     for relevant, key in ((1, "positive"), (0, "negative")) for text in q[key]])
                  for q in queries for _ in range(repeats.get(name, 1))]
        yield name, sum(values) / len(values)


def report(sentences, queries, trained, held):
    lengths = Counter(len(sentence.split()) for sentence in sentences)
    print(f"{len(sentences)} sentences of {len(trained)} intents; {len(queries)} queries of {len(held)} held-out intents, "
          f"{sum(len(q['positive']) for q in queries) / len(queries):.2f} positives of {CANDIDATES} candidates each")
    print(f"{len({w for s in sentences for w in words(s)})} different words; sentence lengths "
          + " ".join(f"{n}:{lengths[n]}" for n in sorted(lengths)))
    for name, value in baselines(sentences, queries):
        print(f"MAP of {name}: {value:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail unless the files are up to date")
    parser.add_argument("--report", action="store_true", help="print counts and lexical baselines")
    options = parser.parse_args()
    sentences, queries, trained, held = make_corpus()
    files = {"sentences.txt": "".join(f"{sentence}\n" for sentence in sentences),
             "rerank.jsonl": "".join(json.dumps(q, ensure_ascii=False) + "\n" for q in queries)}
    for name, text in files.items():
        path = OUTPUT / name
        if options.check:
            if not path.exists() or path.read_bytes() != text.encode():
                sys.exit(f"{path} is not what {Path(__file__).name} makes; run it without --check")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    if options.report:
        report(sentences, queries, trained, held)


if __name__ == "__main__":
    main()
