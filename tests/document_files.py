"""Makes PDFs, CDA documents and the objects that encapsulate them."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

PDF_CLASS, CDA_CLASS = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.104.2"


def encapsulated(document: bytes, sop_class: str = PDF_CLASS, **attributes: object) -> FileDataset:
    """An object of Antonia Featherstone's with that document in it."""
    ds = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = sop_class
    values: dict[str, object] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": sop_class,
        "SOPInstanceUID": "1.2.826.0.1.3680043.2.1.77.1",
        "StudyInstanceUID": "1.2.826.0.1.3680043.2.1.77.2",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.2.1.77.3",
        "PatientName": "Featherstone^Antonia",
        "PatientID": "MRN7741",
        "PatientBirthDate": "19580317",
        "StudyDate": "20130114",
        "AccessionNumber": "ACC9920771",
        "Modality": "DOC",
        "BurnedInAnnotation": "YES",
        "VerificationFlag": "VERIFIED",
        "DocumentTitle": "CT report of Antonia Featherstone",
        "MIMETypeOfEncapsulatedDocument": "application/pdf",
        "EncapsulatedDocumentLength": len(document),
        "EncapsulatedDocument": document + b"\0" * (len(document) % 2),
        **attributes,
    }
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def pdf(*pages: list[str], pictures: int = 0, drawing: bool = False) -> bytes:
    """A PDF of these pages, with pictures or a curve on the first, and with a name everywhere but in its text."""
    buffer = BytesIO()
    canvas = Canvas(buffer, invariant=1)
    canvas.setTitle("Report of Antonia Featherstone")
    canvas.setAuthor("Dr Holger Vanderquist")
    for number, lines in enumerate(pages):
        for place, line in enumerate(lines):
            canvas.drawString(50, 780 - 14 * place, line)
        if number == 0:
            for place in range(pictures):
                canvas.drawImage(ImageReader(_picture()), 50, 100 + 40 * place)
            if drawing:
                canvas.bezier(100, 300, 200, 400, 300, 200, 400, 300)
            canvas.bookmarkPage("Featherstone")
            canvas.addOutlineEntry("Featherstone", "Featherstone")
            canvas.linkURL("https://example.org/Featherstone", (10, 10, 50, 50))
            canvas.acroForm.textfield(name="Featherstone", value="Antonia Featherstone", x=300, y=50)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _picture() -> BytesIO:
    from PIL import Image

    buffer = BytesIO()
    Image.new("RGB", (16, 16), "red").save(buffer, "PNG")
    buffer.seek(0)
    return buffer


CDA = """<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="featherstone.xsl"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:x="urn:x">
 <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
 <templateId root="2.16.840.1.113883.10.20.22.1.5" extension="2015-08-01"/>
 <templateId root="1.2.276.0.76.9999.7741"/>
 <id root="1.2.826.0.1.3680043.2.1.99" extension="REP-5512"/>
 <code code="18748-4" codeSystem="2.16.840.1.113883.6.1" displayName="Diagnostic Imaging Report"/>
 <title>CT chest, Antonia Featherstone</title>
 <effectiveTime value="20130114103000+0100"/>
 <confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/>
 <languageCode code="en-US"/>
 <recordTarget><patientRole>
  <id root="1.2.3.4.5.6" extension="PX-660142"/><addr><streetAddressLine>12 Larkspur Lane</streetAddressLine>
  <city>Quillborough</city></addr><telecom value="tel:+1(555)010-7788"/>
  <patient><name><given>Zenobia</given><family>Featherstone</family></name><birthTime value="19580317"/></patient>
 </patientRole></recordTarget>
 <author><time value="20130114"/><assignedAuthor><id extension="DOC-4471" root="1.2.3"/>
  <assignedPerson><name><given>Holger</given><family>Vanderquist</family></name></assignedPerson>
  <representedOrganization><name>Saint Corbinian Infirmary</name></representedOrganization></assignedAuthor></author>
 <custodian><assignedCustodian><representedCustodianOrganization><id root="1.2.3"/>
  <name>Saint Corbinian Infirmary</name></representedCustodianOrganization></assignedCustodian></custodian>
 <component><structuredBody><component><section ID="s-featherstone">
  <templateId root="2.16.840.1.113883.10.20.6.1.2"/>
  <code code="59776-5" codeSystem="2.16.840.1.113883.6.1" displayName="Findings"/>
  <title>Findings</title>
  <text x:owner="Vanderquist">The nodule of<content styleCode="Bold"> Zenobia </content><x:y>Holger</x:y>in the right
   upper lobe is stable.
   <paragraph ID="p1">Compared with 03.05.2012.<br/>No pleural effusion. Seen with Dr.<br/>Baker.</paragraph>
   <list listType="ordered"><item>5 mm nodule</item><item>MRN7741, PX-660142</item></list>
   <table><thead><tr><th>Organ</th><th>Radiologist</th></tr></thead>
    <tbody><tr><td>Liver: normal</td><td>Baker</td></tr><tr><td colspan="2">Spleen</td></tr></tbody></table>
   <renderMultiMedia referencedObject="m1"/><linkHtml href="http://pacs.example.org/PX-660142">see images</linkHtml>
  </text>
  <entry><observation classCode="OBS" moodCode="EVN"><value>Featherstone</value></observation></entry>
  <x:note>Featherstone</x:note>
  <component><section><title>Impression</title><text>Stable nodule. Call +1(555)010-7788.</text></section></component>
 </section></component></structuredBody></component>
</ClinicalDocument>
"""
