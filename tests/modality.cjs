// A modality made with dcmjs-dimse, for tests/test_dimse_js.py: asks for its worklist, performs a step, asks for storage
// commitment and listens for the result. It writes what it was told as JSON, one line each.
// usage: node modality.cjs MODULE NODE_PORT OWN_PORT SOP_CLASS SOP_INSTANCE

const [module_, nodePort, ownPort, sopClass, sopInstance] = process.argv.slice(2);
const dimse = require(module_);
const { Client, Dataset, Server, Scp } = dimse;
const { CFindRequest, NCreateRequest, NSetRequest, NActionRequest, NDeleteRequest, CEchoRequest } = dimse.requests;
const { CEchoResponse, NEventReportResponse } = dimse.responses;
const { PresentationContextResult, Status, TransferSyntax } = dimse.constants;

const MPPS = '1.2.840.10008.3.1.2.3.3';
const PUSH_MODEL = '1.2.840.10008.1.20.1';
const say = (what, value) => console.log(JSON.stringify([what, value]));

class Listener extends Scp {
  associationRequested(association) {
    association.getPresentationContexts().forEach(({ context }) => {
      context.setResult(PresentationContextResult.Accept, TransferSyntax.ImplicitVRLittleEndian);
    });
    this.sendAssociationAccept();
  }
  cEchoRequest(request, callback) {
    callback(CEchoResponse.fromRequest(request));
  }
  nEventReportRequest(request, callback) {
    const elements = request.getDataset().getElements();
    const failed = [].concat(elements.FailedSOPSequence || []).map((item) => item.FailureReason);
    const given = [].concat(elements.ReferencedSOPSequence || []).map((item) => item.ReferencedSOPInstanceUID);
    say('report', { type: request.getEventTypeId(), given, failed });
    const response = NEventReportResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
    setTimeout(() => process.exit(0), 300);
  }
  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

function withData(request, elements) {
  request.setDataset(new Dataset(elements));
  return request;
}

function all(requests) {
  return new Promise((resolve, reject) => {
    const client = new Client();
    for (const [what, request] of requests) {
      request.on('response', (response) => {
        if (response.getStatus() === Status.Pending) {
          say(what, response.getDataset().getElements().AccessionNumber);
        } else {
          say(what, response.getStatus());
        }
      });
      client.addRequest(request);
    }
    client.on('networkError', reject);
    client.on('closed', resolve);
    client.send('127.0.0.1', Number(nodePort), 'JS01', 'LETHE');
  });
}

// Attributes that have to be there and may be empty (PS3.4 5.4.2.1).
function empty(...names) {
  return Object.fromEntries(names.map((name) => [name, name.endsWith('Sequence') ? [] : '']));
}

async function main() {
  const server = new Server(Listener);
  server.listen(Number(ownPort));
  const uid = Dataset.generateDerivedUid();
  const begun = {
    PerformedProcedureStepStatus: 'IN PROGRESS',
    PerformedProcedureStepID: 'P1',
    PerformedStationAETitle: 'JS01',
    PerformedProcedureStepStartDate: '20240131',
    PerformedProcedureStepStartTime: '0930',
    Modality: 'CT',
    ScheduledStepAttributesSequence: [
      {
        StudyInstanceUID: Dataset.generateDerivedUid(),
        ...empty('ReferencedStudySequence', 'AccessionNumber', 'RequestedProcedureID', 'RequestedProcedureDescription'),
        ...empty('ScheduledProcedureStepID', 'ScheduledProcedureStepDescription', 'ScheduledProtocolCodeSequence'),
      },
    ],
    ...empty('PatientName', 'PatientID', 'PatientBirthDate', 'PatientSex', 'ReferencedPatientSequence', 'StudyID'),
    ...empty('PerformedStationName', 'PerformedLocation', 'PerformedProcedureStepDescription'),
    ...empty('PerformedProcedureTypeDescription', 'ProcedureCodeSequence', 'PerformedProcedureStepEndDate'),
    ...empty('PerformedProcedureStepEndTime', 'PerformedProtocolCodeSequence', 'PerformedSeriesSequence'),
  };
  const series = {
    SeriesInstanceUID: Dataset.generateDerivedUid(),
    ProtocolName: 'CHEST',
    ReferencedImageSequence: [{ ReferencedSOPClassUID: sopClass, ReferencedSOPInstanceUID: sopInstance }],
    ...empty('PerformingPhysicianName', 'OperatorsName', 'SeriesDescription', 'RetrieveAETitle'),
    ...empty('ReferencedNonImageCompositeSOPInstanceSequence'),
  };
  const over = {
    PerformedProcedureStepStatus: 'COMPLETED',
    PerformedProcedureStepEndDate: '20240131',
    PerformedProcedureStepEndTime: '1000',
    PerformedSeriesSequence: [series],
  };
  await all([['worklist', CFindRequest.createWorklistFindRequest({ AccessionNumber: '' })]]);
  await all([['create', withData(new NCreateRequest(MPPS, uid), begun)]]);
  await all([['create again', withData(new NCreateRequest(MPPS, uid), begun)]]);
  await all([['set', withData(new NSetRequest(MPPS, uid), over)]]);
  await all([['set again', withData(new NSetRequest(MPPS, uid), over)]]);
  await all([
    ['delete', new NDeleteRequest(MPPS, uid)],
    ['echo after it', new CEchoRequest()],
  ]);
  const item = (instance) => ({ ReferencedSOPClassUID: sopClass, ReferencedSOPInstanceUID: instance });
  const wanted = [item(sopInstance), item(Dataset.generateDerivedUid())];
  const asked = { TransactionUID: Dataset.generateDerivedUid(), ReferencedSOPSequence: wanted };
  await all([['action', withData(new NActionRequest(PUSH_MODEL, PUSH_MODEL + '.1', 1), asked)]]);
  setTimeout(() => process.exit(1), 60000);
}

main().catch((error) => {
  say('error', String(error));
  process.exit(1);
});
