"""How reports word findings, negation, doubt, sides and places: the patterns that the labeler reads with.

Each finding has patterns that mention it. Findings that share a word (calcification, lesion, node) are told apart by
the context words that must, or must not, stand in the same clause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Pattern:
    """`term` mentions the finding; `needs` must and `bars` must not match in the clause around it."""

    term: re.Pattern
    needs: re.Pattern | None = None
    bars: re.Pattern | None = None


def _p(term: str, needs: str | None = None, bars: str | None = None) -> Pattern:
    return Pattern(*(None if text is None else re.compile(text, re.IGNORECASE) for text in (term, needs, bars)))


_LUNG = r"\b(lungs?|pulmonary|lob(e|es|ar)|lingula\w*|parenchym\w+|apical|apex|hilar|subpleural|bronch\w+|fissur\w+)\b"
_OTHER_ORGAN = (r"\b(thyroid|adrenal\w*|liver|hepatic|splen\w+|kidneys?|renal|pancrea\w+|breast|axill\w+|lymph|"
                r"vertebra\w*|bone|skin|subcutaneous|vocal|uter\w+|prostat\w+|schmorl\w*)\b")
_LESION = (r"\b(lesions?|mass(es)?|cysts?|cystic|nodul\w+|tumou?rs?|metasta\w+|h(a?e)mangiomas?|carcinomas?|neoplasms?|"
           r"hypodensit\w+|hyperdensit\w+|hypodense (foci|focus|areas?)|adenomas?|IPMN|angiomyolipomas?)\b")
_CALCIFIED = r"\b(calcif\w+|calcific|atherom\w*|atheroscl\w+|plaques?)\b"
_ARTERY = r"\b(aort\w*|arter(y|ies|ial)|vascular|carotid\w*|iliac\w*|supra-?aortic|subclavian|brachiocephalic)\b"

PATTERNS: dict[str, tuple[Pattern, ...]] = {
    "Medical material": (
        _p(r"\b(pacemakers?|pacing (leads?|wires?)|defibrillators?|catheters?|port-?a-?cath\w*|ports?|stents?|"
           r"(sternal|sternotomy|cerclage) (wires?|sutures?)|sternotomy|nasogastric|orogastric|(feeding|chest|drainage|"
           r"tracheostomy|endotracheal|enteric|thoracostomy|tracheal) tubes?|drains?|tracheostomy|cannulas?|"
           r"prosthe(sis|ses|tic)|surgical (materials?|clips?|sutures?|staples?)|metallic (clips?|sutures?|materials?|"
           r"valves?)|clips|electrodes?|leads?(?! to)|implants?|medical (devices?|materials?)|coils?|"
           r"(central venous|venous) lines?|PICC)\b", bars=r"\bbronchial (stent|clip)ing\b"),
    ),
    "Arterial wall calcification": (
        _p(_CALCIFIED, needs=_ARTERY.replace("arter(y|ies|ial)", r"(?<!coronary )arter(y|ies|ial)"),
           bars=r"\b(valve|valvular|annul\w+)\b(?!.*\b(aorta|arter))"),
        _p(r"\batheroscl\w+\b", bars=r"\bcoronar\w+|valve"),
    ),
    "Cardiomegaly": (
        _p(r"\bcardiomegaly\b|\b(heart|cardiac)( (size|silhouette|shadow|chambers?))?( (is|are|was|were|appears?|has"
           r"|have|"
           r"been|mildly|slightly|moderately|markedly|severely|minimally|and|its|size|contours?|globally))* "
           r"(enlarged|increased|dilated|large)\b|\benlarged (heart|cardiac)\b|\benlargement of the (heart|cardiac)|"
           r"\bcardiac enlargement\b|\bcardiothoracic (ratio|index)\b[^.]{0,40}\b(increased|above|elevated|exceeds"
           r"|greater|"
           r"higher|enlarged|0\.5[1-9]|0\.[6-9])|\bincrease in (the )?(heart|cardiac) size\b|"
           r"\bincreased (heart|cardiac) size\b"),
    ),
    "Pericardial effusion": (
        _p(r"\bpericardial( \w+){0,3}? (effusions?|fluid)\b|\b(effusions?|fluid)( \w+){0,4} pericardi\w+|"
           r"\bpericardial( and| or|,|/)( \w+)? pleural (effusions?|fluid)\b|"
           r"\bpericardial (recess |space )?(fluid|collection)\b"),
    ),
    "Coronary artery wall calcification": (
        _p(_CALCIFIED, needs=r"\b(coronar\w+|LAD|RCA|LCX|circumflex|left anterior descending)\b"),
    ),
    "Hiatal hernia": (
        _p(r"\bhiat(al|us)( \w+){0,2} hernia\w*|\bhernia\w*( \w+){0,5} hiat(al|us)\b"
           r"|\bsliding( type)?( \w+)? hernia\w*|"
           r"\bherniation of the (stomach|gastric)|\bgastric hernia\w*|\bintrathoracic stomach\b"),
    ),
    "Lymphadenopathy": (
        _p(r"\b(lymph)?adenopath\w+\b|\blymphadenomegal\w+\b|\b(enlarged|prominent|pathological\w*|bulky|increased)"
           r"( \w+){0,4} (lymph )?nodes?\b|\blymph nodes?\b|\bnodes? (with|measuring|of|up)\b|\bnodal (mass"
           r"|conglomerate)"),
    ),
    "Emphysema": (
        _p(r"\b(emphysema\w*|bulla[e]?|bullous|blebs?)\b",
           bars=r"\b(subcutaneous|surgical|mediastinal|interstitial|soft tissue) emphysema"),
    ),
    "Atelectasis": (_p(r"\b(atelecta\w+|lobar collapse|collapsed (lung|lobe)|collapse of the)"),),
    "Lung nodule": (
        _p(r"\b(nodules?|micronodules?|nodular (lesions?|densit\w+|opacit\w+|or "
           r"infiltrative lesions?))\b", bars=_OTHER_ORGAN),
        _p(r"\b(nodules?|micronodules?)\b", needs=_LUNG, bars=r"\b(thyroid|adrenal\w*|hepatic|liver|renal|breast)\b"),
        _p(r"\b(mass(es)?)\b", needs=_LUNG, bars=r"\b(liver|hepatic|renal|kidney|pancrea\w+|adrenal|mediastin\w+|hilar|"
           r"thyroid|breast|axilla\w*|node)\b"),
    ),
    "Lung opacity": (
        _p(r"\b(ground[- ]?glass|GGOs?|opacit(y|ies)|opacifications?|infiltrat\w+|crazy[- ]paving|(hazy|patchy) "
           r"(densit\w+|attenuation))\b", bars=r"\b(contrast opacification|nodular opacit\w+|opacification of the "
           r"(vessels?|vein|arter\w+|bowel))\b"),
    ),
    "Pulmonary fibrotic sequela": (
        _p(r"\b(fibrosis|fibrotic|fibro(atelectatic|nodular)|sequela\w*|scarring|scars?|parenchymal bands?|"
           r"pleuroparenchymal|honeycomb\w*)\b",
           bars=r"\b(cystic fibrosis|rib|bone|fracture|skin|renal|kidney|liver)\b"),
    ),
    "Pleural effusion": (
        _p(r"\bpleural( \w+){0,3}? (effusions?|fluid)\b|\bhydrothora\w+|\bh(a?e)mothora\w+|"
           r"\bpleural( and| or|,|/|/or| and/or)( \w+)? pericardial (effusions?|fluid)\b|"
           r"\b(effusions?|fluid)( \w+){0,6} (pleura\w*|hemithora\w+)|\bpleural space collections?\b"),
        _p(r"\beffusions?\b", bars=r"\b(pericardi\w+|joint|peritone\w+|pleural)\b"),
    ),
    "Mosaic attenuation pattern": (_p(r"\bmosaic\b"),),
    "Peribronchial thickening": (
        _p(r"\bperibronch\w+( \w+){0,3} (thicken\w*|cuffing|sheath\w*)|\bbronch\w+ walls?( \w+){0,3} thick\w*|"
           r"\bthicken\w*( \w+){0,4} (bronchial walls?|peribronch\w+)|\bbronchial (wall )?thickening|"
           r"\bperibronch\w+ thick\w*|\bthickened bronchial walls?"),
    ),
    "Consolidation": (_p(r"\b(consolidat\w+|air[- ]bronchograms?)\b"),),
    "Bronchiectasis": (
        _p(r"\bbronchi(ol)?ectas\w+|\b(bronchi(ol)?ectatic)\b|\bbronch(us|i|ial)( \w+){0,3} dilat\w+|"
           r"\bdilat\w+( \w+){0,3} bronch(us|i|ial)|\bectatic bronch\w+"),
    ),
    "Interlobular septal thickening": (
        _p(r"\b(inter|intra)?lobular sept\w*( \w+){0,4} thick\w*|\bsept(al|um|a)( \w+){0,2} thicken\w*|"
           r"\bthicken\w*( \w+){0,4} sept(a|al|um)\b|\bthickened( \w+){0,2} sept(a|al)|\binterlobular thickening"),
    ),
    "Liver lesion": (_p(_LESION, needs=r"\b(liver|hepatic|hepato\w+)\b|\bsegments? (I{1,3}|IV[ab]?|VI{0,3})\b"),),
    "Kidney lesion": (_p(_LESION, needs=r"\b(kidneys?|renal)\b", bars=r"\b(suprarenal|adrenal)\b"),),
    "Pancreas lesion": (_p(_LESION, needs=r"\bpancrea\w+\b"),),
}

_VERB = r"\b(is|are|was|were|has|have|appears?|looks?|seems?|shows?|contains?)\b"


def _normal(organ: str) -> str:
    """`organ` alone, or first in a list before a plural verb, said to be normal ("enlarged, the spleen is normal")."""
    own = rf"((?!{_VERB}|\bnot\b)[^.;,])"
    listed = rf"((?!{_VERB})[^.;]){{0,60}}\b(and|or)\b{own}{{0,40}}\b(are|were|have|appear|look|seem)\b"
    return (rf"\b{organ}\b({listed}|{own}{{0,60}}{_VERB})?{own}{{0,60}}\b(normal|unremarkable)\b"
            rf"|\bnormal( appearing)? {organ}\b")


# "the heart is normal": an organ that is said to be normal makes its finding absent
NORMAL: dict[str, re.Pattern] = {
    name: re.compile(text, re.IGNORECASE) for name, text in {
        "Cardiomegaly": r"\b(heart|cardiac)( size| silhouette| contours?| dimensions?)?((?! not\b) \w+){0,5} "
                        r"(normal|unremarkable|not enlarged)\b|\bnormal (heart|cardiac) size\b"
                        r"|\bnormal[- ]sized heart\b|"
                        r"\bcardiothoracic (ratio|index)((?! not\b) \w+){0,3} (normal|preserved)",
        "Liver lesion": _normal("liver"), "Kidney lesion": _normal("kidneys?"), "Pancreas lesion": _normal("pancreas"),
    }.items()
}

NEGATION = re.compile(
    r"\b(no|not|without|absence of|absent|free (of|from)|negative for|neither|nor|never|resolution of|resolved|"
    r"exclud(es|ed|ing)|rules? out|ruled out|devoid of|clear of|lack of|fails? to)\b", re.IGNORECASE)
# what cannot be excluded is neither there nor absent
_OPEN = (r"\b(can ?not|can't|could not|couldn't|do(es)? not|did not|unable to|not possible to|difficult to)( \w+ly)? "
         r"(be )?(\w+ly )?(excluded?|ruled? out)\b|\bnot (be )?(excluded|ruled out)\b")
OPEN = re.compile(_OPEN, re.IGNORECASE)
# "none" and the like, after which the clause says nothing else
_DENIAL = (r"(none|no|absent|negative|nil)( (seen|identified|detected|present|noted|found|visible|observed|evident))*"
           r"(?=\s*([,;.]|$)| (on|in|at) [^,;.]*\.?\s*$)")
# words that look like a negation and are none
NO_NEGATION = re.compile(
    r"\bno (significant |interval |relevant |obvious |appreciable )*(change|increase|decrease|difference|growth|"
    r"progression|complication)\b|\bnot (only|changed|significantly changed|increased)\b|"
    rf"{_OPEN}|[:?]\s*{_DENIAL}|\bwithout (significant |interval )*(change|complication)\b|\bnon-?specific\b|"
    # "performed without contrast there is", "patient without known malignancy has"
    r"\b(without|with no|lack of|absence of)\b[^,;.]*?(?<!\bthat)(?=\s(there (is|are|was|were)|has|have|had|shows?|"
    r"showed|demonstrates?|reveals?)\b)", re.IGNORECASE)
NEGATED_AFTER = re.compile(
    r"\b(can ?not|not|no longer)( be| been| clearly| significantly)* (seen|observed|detected|identified|present|"
    r"demonstrated|visuali[sz]ed|noted|found|evident|encountered|distinguished|monitored|enlarged|pathological\w*|"
    r"visible|appreciated|appreciable|apparent|discernible|recogni[sz]able)\b|"
    r"\b(is|are|was|were) (absent|excluded|ruled out)\b|\babsent(?=\s*([,;.]|$))|"
    r"\b(has|have|had)( completely| fully| since| now)* (resolved|cleared|disappeared|vanished|regressed completely)\b|"
    rf"^[^,;.:?]*([:?]|\s[-–—]|[-–—]\s)\s*{_DENIAL}|^\s*,\s*none\s*\.?\s*$|"
    # of the finding itself: "a nodule, malignancy is unlikely" is a nodule
    r"^((?!\b(which|whose|where|with)\b)[^,;])*\b(is|are|was|were|seems?|appears?)( \w+)? unlikely\b", re.IGNORECASE)
# "a history of consolidation" and no more
PAST = re.compile(r"\bhistory of ((?!(with|and|has|in|now)\b)[\w-]+ ){0,3}$", re.IGNORECASE)
STILL = re.compile(r"\b(with|has|have|shows?|now|still|again|persist\w*|residual|remain\w*)\b", re.IGNORECASE)
UNCERTAIN = re.compile(
    r"\b(possibl[ey]|probabl[ey]|likely|may|might|could|suspicious|suspect\w*|suspicion|questionable|differential|"
    rf"suggest\w*|presumabl[ey]|equivocal|rule out)\b|{_OPEN}", re.IGNORECASE)
SIZE = re.compile(r"(\d+(?:[.,]\d+)?)((?:\s*(?:mm|cm)?\s*[x×*]\s*\d+(?:[.,]\d+)?)*)\s*-?\s*(mm|cm|millimet\w+"
                  r"|centimet\w+)\b",
                  re.IGNORECASE)
# stands before a size that is one of a short axis
SHORT_BEFORE = re.compile(r"\bshort[- ]?(axis|diameter)( diameter)?( of| is| measures| measuring|:)?\s*$",
                          re.IGNORECASE)
# where the scope of a negation ends
CLAUSE_END = re.compile(
    r";|\.\s|\bbut\b|\bhowever\b|\bexcept( for)?\b|\bapart from\b|\bother than\b|\balthough\b|\bthough\b|\bwhile\b|"
    r"\bwhereas\b|\byet\b|,\s+(?=(there|an?|the|with|mild|small|large|moderate|multiple|several)\b)|"
    r",?\s+and\s+(?=(there|no|an?|the|is|are|was|were|has|have)\b)"
    rf"|:\s(?!\s*{_DENIAL})|\n|"
    # "a lesion in the liver, kidneys are normal"
    r",\s+(?=((the|both|left|right) )*(lungs?|heart|liver|spleen|kidneys?|pancreas|gallbladder|stomach|bowel|spine|"
    r"adrenal glands) ((is|are|was|were|appears?|both) )*(normal|unremarkable)\b)", re.IGNORECASE)
# after a negation the size of something else ends its scope: "no consolidation, 24 mm nodule"
NEXT_SIZE = re.compile(rf"(?<!\d)(?<![mc]m)(,\s+|,?\s+and\s+)(?={SIZE.pattern})", re.IGNORECASE)

# what stands beside another finding is on its side
ADJACENT = re.compile(r"\b(adjacent|associated|accompanying|neighbou?ring|underlying|passive|compressi(ve|on))\b",
                      re.IGNORECASE)

SIDE = re.compile(r"\b(left|right|bilateral(ly)?|both|lingula\w*|middle lobe|[LR][UL]L|RML)\b", re.IGNORECASE)
# the word itself, not one side and the other
BILATERAL = re.compile(r"\bbilateral(ly)?\b|\bboth (lungs|kidneys|sides|(upper |lower )?lobes|hemithora\w+|pleura\w*|"
                       r"apices|bases)\b", re.IGNORECASE)
NO_SIDE = re.compile(r"\b(left|right)[- ](ventric\w+|atri\w+|heart|anterior descending|main coronary|coronary"
                     r"|circumflex|"
                     r"brachiocephalic|subclavian|common carotid|arch|aortic)|"
                     # "with mediastinal shift to the right": where something is pushed to
                     r"\b(shift\w*|deviat\w+|displace\w*)( \w+){0,3}? (left|right)\b", re.IGNORECASE)
# what a sentence denies beside what it states: "none on the right", "the left kidney is normal"
DENIED = re.compile(r"\b(no|none|nothing)\b((?!\b(but|except|and)\b)[^,;.:])*|\b(not|without|nor)( \w+){0,2}? "
                    r"(left|right)\b|\b(left|right) \w+ ((is|was|appears) )?(normal|unremarkable|clear|spared)\b"
                    r"(?! in\b)", re.IGNORECASE)

PLACES: tuple[tuple[str, re.Pattern], ...] = tuple(
    (name, re.compile(text, re.IGNORECASE)) for name, text in (
        ("right upper lobe", r"\b(right upper lobe|upper lobe of the right lung|RUL)\b"),
        ("right middle lobe", r"\b(right middle lobe|middle lobe( of the right lung)?|RML)\b"),
        ("right lower lobe", r"\b(right lower lobe|lower lobe of the right lung|RLL)\b"),
        ("left upper lobe", r"\b(left upper lobe|upper lobe of the left lung|LUL|lingula\w*)\b"),
        ("left lower lobe", r"\b(left lower lobe|lower lobe of the left lung|LLL)\b"),
        ("upper lobes", r"\bupper lobes\b"),
        ("lower lobes", r"\blower lobes\b"),
        ("liver segment", r"\bsegments? (I{1,3}|IV[ab]?|VI{0,3}|[1-8])\b"),
        ("right hepatic lobe", r"\b(right (hepatic|liver) lobe|right lobe of the liver)\b"),
        ("left hepatic lobe", r"\b(left (hepatic|liver) lobe|left lobe of the liver)\b"),
        ("head of the pancreas", r"\b(pancreatic head|head of the pancreas|uncinate)\b"),
        ("body of the pancreas", r"\b(pancreatic body|body of the pancreas)\b"),
        ("tail of the pancreas", r"\b(pancreatic tail|tail of the pancreas)\b"),
        ("upper pole", r"\bupper pole\b"), ("lower pole", r"\blower pole\b"),
        ("interpolar", r"\b(interpolar|mid pole)\b"),
        ("aortic arch", r"\b(aortic arch|arch of the aorta)\b"), ("thoracic aorta", r"\bthoracic aorta\b"),
        ("abdominal aorta", r"\babdominal aorta\b"), ("aorta", r"\baorta\b"),
        ("coronary arteries", r"\bcoronar\w+\b"),
        ("mediastinum", r"\b(mediastin\w+|paratracheal|subcarinal|prevascular)\b"),
        ("hilum", r"\bhil(ar|um|a)\b"), ("axilla", r"\baxill\w+\b"),
    )
)
